//! Tokens with which hosts join. Of a secret only the digest is kept.

use super::{Connection, Id, Result, Write};

/// A token.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JoinToken {
    /// Which.
    pub id: Id,
    /// SHA-256 of its secret, in hexadecimal.
    pub digest: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When it ends by itself.
    pub expires_ms: i64,
    /// The host that is to join again; a new one if none.
    pub host_id: Option<Id>,
    /// When a host joined with it.
    pub used_ms: Option<i64>,
    /// SHA-256 of the key of the host that joined, in hexadecimal.
    pub used_key: Option<String>,
    /// That host, while it is one.
    pub used_host_id: Option<Id>,
}

/// The one with this id.
pub async fn by_id(db: &mut Connection, id: Id) -> Result<Option<JoinToken>> {
    Ok(sqlx::query_as("SELECT * FROM join_tokens WHERE id = $1").bind(id).fetch_optional(db).await?)
}

/// Adds one, and forgets those that ended long ago: before `long_ago_ms`.
pub async fn insert(db: &mut Write, token: &JoinToken, long_ago_ms: i64) -> Result<()> {
    sqlx::query("DELETE FROM join_tokens WHERE expires_ms < $1").bind(long_ago_ms).execute(&mut **db).await?;
    sqlx::query(
        "INSERT INTO join_tokens (id, digest, created_by, created_ms, expires_ms, host_id)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.id)
    .bind(&token.digest)
    .bind(&token.created_by)
    .bind(token.created_ms)
    .bind(token.expires_ms)
    .bind(token.host_id)
    .execute(&mut **db)
    .await?;
    Ok(())
}

/// Notes that `host` joined with it, whose key has the digest `key`.
pub async fn used(db: &mut Write, id: Id, now_ms: i64, host: Id, key: &str) -> Result<()> {
    let statement = "UPDATE join_tokens SET used_ms = $2, used_host_id = $3, used_key = $4 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(now_ms).bind(host).bind(key).execute(&mut **db).await?;
    Ok(())
}
