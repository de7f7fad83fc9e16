//! Sessions, so that they outlive the server's process. Of a token only the digest is kept.

use super::{Connection, Result, Write, now_ms};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// SHA-256 of its token, in hexadecimal.
    pub digest: String,
    /// Who is in.
    pub who: String,
    /// SHA-256 of the credential that was good when it began, in hexadecimal.
    pub credential: String,
    /// When it ends by itself.
    pub expires_ms: i64,
}

/// Those that have not ended and began with `credential`.
pub async fn all(db: &mut Connection, credential: &str) -> Result<Vec<Session>> {
    let statement = "SELECT * FROM sessions WHERE credential = $1 AND expires_ms > $2";
    Ok(sqlx::query_as(statement).bind(credential).bind(now_ms()).fetch_all(db).await?)
}

/// Adds one, and forgets those that have ended.
pub async fn insert(db: &mut Write, session: &Session) -> Result<()> {
    sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1").bind(now_ms()).execute(&mut **db).await?;
    sqlx::query("INSERT INTO sessions (digest, who, credential, expires_ms) VALUES ($1, $2, $3, $4)")
        .bind(&session.digest)
        .bind(&session.who)
        .bind(&session.credential)
        .bind(session.expires_ms)
        .execute(&mut **db)
        .await?;
    Ok(())
}

/// Removes one.
pub async fn delete(db: &mut Write, digest: &str) -> Result<()> {
    sqlx::query("DELETE FROM sessions WHERE digest = $1").bind(digest).execute(&mut **db).await?;
    Ok(())
}
