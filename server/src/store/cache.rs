//! Cache modes that are set for storages, virtual machines and volumes, and what was changed by whom.

use server_api::cache::{CacheLevel, CacheSet};
use server_api::event::Kind;
use server_api::vm::CacheChoice;

use super::{Connection, Id, Result, Word, Write};

/// What is set for one of them.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Mode {
    mode: Word<CacheChoice>,
    accepts_loss: bool,
}

/// A change.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Change {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// What was set before.
    pub from_mode: Option<Word<CacheChoice>>,
    /// What was set afterwards.
    pub to_mode: Option<Word<CacheChoice>>,
}

/// What is set for a storage, virtual machine or volume.
pub async fn set(db: &mut Connection, subject: Id) -> Result<Option<CacheSet>> {
    let statement = "SELECT mode, accepts_loss FROM cache_modes WHERE subject_id = $1";
    let row: Option<Mode> = sqlx::query_as(statement).bind(subject).fetch_optional(db).await?;
    Ok(row.map(|row| CacheSet { mode: row.mode.0, accepts_loss: row.accepts_loss }))
}

/// Changes, the newest first.
pub async fn changes(db: &mut Connection, subject: Id) -> Result<Vec<Change>> {
    let statement = "SELECT at_ms, who, from_mode, to_mode FROM cache_changes WHERE subject_id = $1
         ORDER BY at_ms DESC, id DESC";
    Ok(sqlx::query_as(statement).bind(subject).fetch_all(db).await?)
}

/// Sets what is set for one of them; `None` clears it. Notes the change.
pub async fn change(
    db: &mut Write,
    level: CacheLevel,
    subject: Id,
    to: Option<CacheSet>,
    noted: &Change,
) -> Result<()> {
    match to {
        Some(CacheSet { mode, accepts_loss }) => {
            let statement = "INSERT INTO cache_modes (subject_id, level, mode, accepts_loss) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (subject_id) DO UPDATE SET mode = excluded.mode, accepts_loss = excluded.accepts_loss";
            let query = sqlx::query(statement).bind(subject).bind(Word(level)).bind(Word(mode));
            query.bind(accepts_loss).execute(&mut **db).await?;
        }
        None => {
            let statement = "DELETE FROM cache_modes WHERE subject_id = $1";
            sqlx::query(statement).bind(subject).execute(&mut **db).await?;
        }
    }
    sqlx::query(
        "INSERT INTO cache_changes (id, subject_id, at_ms, who, from_mode, to_mode) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(Id::new())
    .bind(subject)
    .bind(noted.at_ms)
    .bind(&noted.who)
    .bind(noted.from_mode)
    .bind(noted.to_mode)
    .execute(&mut **db)
    .await?;
    let kind = match level {
        CacheLevel::Storage => Kind::Storage,
        CacheLevel::Vm => Kind::Vm,
        CacheLevel::Volume => Kind::Volume,
        CacheLevel::Global => Kind::Setting,
    };
    db.changed(kind, subject);
    Ok(())
}

/// Forgets all about one that is removed.
pub async fn forget(db: &mut Write, subject: Id) -> Result<()> {
    for statement in
        ["DELETE FROM cache_modes WHERE subject_id = $1", "DELETE FROM cache_changes WHERE subject_id = $1"]
    {
        sqlx::query(statement).bind(subject).execute(&mut **db).await?;
    }
    Ok(())
}
