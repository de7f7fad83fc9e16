//! Values of settings that differ from the default, and what was changed by whom.

use server_api::event::Kind;
use sqlx::Row;

use super::{Connection, Id, Result, Write};

/// A change.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Change {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// The value that held before.
    pub from_value: String,
    /// The value that held afterwards.
    pub to_value: String,
}

/// The value of `key`, if it is not the default.
pub async fn value(db: &mut Connection, key: &str) -> Result<Option<String>> {
    let statement = "SELECT setting_value FROM settings WHERE setting_key = $1";
    let row = sqlx::query(statement).bind(key).fetch_optional(db).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Whether whoever set `key` accepts what its value costs.
pub async fn accepts_loss(db: &mut Connection, key: &str) -> Result<bool> {
    let statement = "SELECT accepts_loss FROM settings WHERE setting_key = $1";
    let row = sqlx::query(statement).bind(key).fetch_optional(db).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Notes that somebody accepts what the value of `key` costs, or does not any more.
pub async fn accept_loss(db: &mut Write, key: &str, accepts: bool) -> Result<()> {
    let statement = "UPDATE settings SET accepts_loss = $2 WHERE setting_key = $1";
    sqlx::query(statement).bind(key).bind(accepts).execute(&mut **db).await?;
    Ok(())
}

/// Changes of `key`, the newest first.
pub async fn changes(db: &mut Connection, key: &str) -> Result<Vec<Change>> {
    let statement = "SELECT at_ms, who, from_value, to_value FROM setting_changes
         WHERE setting_key = $1 ORDER BY at_ms DESC, id DESC";
    Ok(sqlx::query_as(statement).bind(key).fetch_all(db).await?)
}

/// Sets the value of `key`; `None` for the default. Notes the change.
pub async fn set(db: &mut Write, key: &str, value: Option<&str>, change: &Change) -> Result<()> {
    match value {
        Some(value) => {
            let statement = "INSERT INTO settings (setting_key, setting_value) VALUES ($1, $2)
                 ON CONFLICT (setting_key) DO UPDATE SET setting_value = excluded.setting_value";
            sqlx::query(statement).bind(key).bind(value).execute(&mut **db).await?;
        }
        None => {
            sqlx::query("DELETE FROM settings WHERE setting_key = $1").bind(key).execute(&mut **db).await?;
        }
    }
    let id = Id::new();
    sqlx::query(
        "INSERT INTO setting_changes (id, setting_key, at_ms, who, from_value, to_value)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(key)
    .bind(change.at_ms)
    .bind(&change.who)
    .bind(&change.from_value)
    .bind(&change.to_value)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Setting, id);
    Ok(())
}
