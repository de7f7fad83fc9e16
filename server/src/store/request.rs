//! Requests that may be sent again, and what was answered. The answer is written in the transaction that does what was
//! asked, so that there is never one without the other.

use sqlx::Row;

use super::{Connection, Result, Write, now_ms};

/// What a repeat must have in common with the first.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// Who asks.
    pub who: String,
    /// What the client chose.
    pub key: String,
    /// Digest of method, path and body.
    pub fingerprint: String,
}

/// What was answered to `key`, with the fingerprint of the request that was.
pub async fn answered(db: &mut Connection, key: &RequestKey) -> Result<Option<(String, String)>> {
    let statement = "SELECT fingerprint, reply FROM requests WHERE who = $1 AND idempotency_key = $2";
    let row = sqlx::query(statement).bind(&key.who).bind(&key.key).fetch_optional(db).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?)
}

/// Notes what is answered to `key`.
pub async fn remember(db: &mut Write, key: &RequestKey, reply: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO requests (who, idempotency_key, fingerprint, reply, created_ms) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&key.who)
    .bind(&key.key)
    .bind(&key.fingerprint)
    .bind(reply)
    .bind(now_ms())
    .execute(&mut **db)
    .await?;
    Ok(())
}

/// Forgets what was answered before `before_ms`.
pub async fn forget(db: &mut Write, before_ms: i64) -> Result<()> {
    sqlx::query("DELETE FROM requests WHERE created_ms < $1").bind(before_ms).execute(&mut **db).await?;
    Ok(())
}
