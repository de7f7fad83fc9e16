//! API tokens. Of a secret only the digest is kept.

use server_api::event::Kind;

use super::{Connection, Id, Result, Write, named};

/// A token.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ApiToken {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// SHA-256 of its secret, in hexadecimal.
    pub digest: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When it ends by itself.
    pub expires_ms: Option<i64>,
}

named!(ApiToken, "api_tokens", "SELECT api_tokens.* FROM api_tokens");

/// The one whose secret has this digest.
pub async fn by_digest(db: &mut Connection, digest: &str) -> Result<Option<ApiToken>> {
    let statement = "SELECT * FROM api_tokens WHERE digest = $1";
    Ok(sqlx::query_as(statement).bind(digest).fetch_optional(db).await?)
}

/// Adds one.
pub async fn insert(db: &mut Write, token: &ApiToken) -> Result<()> {
    sqlx::query(
        "INSERT INTO api_tokens (id, name, digest, created_by, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.id)
    .bind(&token.name)
    .bind(&token.digest)
    .bind(&token.created_by)
    .bind(token.created_ms)
    .bind(token.expires_ms)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Token, token.id);
    Ok(())
}

/// Removes one.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    sqlx::query("DELETE FROM api_tokens WHERE id = $1").bind(id).execute(&mut **db).await?;
    db.changed(Kind::Token, id);
    Ok(())
}
