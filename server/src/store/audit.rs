//! The audit log: entries are added and, when they are old or too many, removed. There is no statement that changes one.

use super::{Connection, Id, Result, Write, now_ms};

/// An entry.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Entry {
    /// Its identity. Later ones sort behind earlier ones.
    pub id: Id,
    /// When.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// From which address; none if it was the server itself.
    pub address: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

impl Entry {
    /// An entry of now.
    #[must_use]
    pub fn new(who: &str, action: &str, subject: &str, outcome: &str) -> Self {
        Self {
            id: Id::new(),
            at_ms: now_ms(),
            who: who.to_owned(),
            address: None,
            action: action.to_owned(),
            subject: subject.to_owned(),
            outcome: outcome.to_owned(),
        }
    }
}

/// Adds one.
pub async fn insert(db: &mut Write, entry: &Entry) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit (id, at_ms, who, address, action, subject, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(entry.id)
    .bind(entry.at_ms)
    .bind(&entry.who)
    .bind(&entry.address)
    .bind(&entry.action)
    .bind(&entry.subject)
    .bind(&entry.outcome)
    .execute(&mut **db)
    .await?;
    Ok(())
}

/// At most `limit`, the newest first; those before the one that has the id `before`.
pub async fn page(db: &mut Connection, before: Option<Id>, limit: u32) -> Result<Vec<Entry>> {
    let before = before.map_or("~".to_owned(), |id| id.to_string());
    let statement = "SELECT * FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    Ok(sqlx::query_as(statement).bind(before).bind(i64::from(limit)).fetch_all(db).await?)
}

/// Forgets those from before `before_ms`, and all but the newest `most`.
pub async fn forget(db: &mut Write, before_ms: i64, most: u32) -> Result<()> {
    sqlx::query("DELETE FROM audit WHERE at_ms < $1").bind(before_ms).execute(&mut **db).await?;
    let statement = "DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET $1)";
    sqlx::query(statement).bind(i64::from(most)).execute(&mut **db).await?;
    Ok(())
}
