//! API tokens: made, listed, revoked, and recognized.

use server_api::event::Kind;
use server_api::token::{Token, TokenList, TokenReply, TokenRequest};

use super::{Begun, Cloud, CloudError, Order, find, finish, names};
use crate::secret::{self, Secret};
use crate::store::api_token::{self, ApiToken};
use crate::store::{Id, now_ms};

/// What the text of a token starts with, so that one that leaks is recognized as what it is.
pub const PREFIX: &str = "cairn_api_";

find!(find: api_token, ApiToken, Token);

impl Cloud {
    /// All tokens.
    pub async fn tokens(&self) -> Result<TokenList, CloudError> {
        let tokens = api_token::all(&mut *self.store.read().await?).await?;
        Ok(TokenList { tokens: tokens.into_iter().map(encode).collect() })
    }

    /// Makes a token. The order cannot be repeated: its answer is a secret, and no secret is stored.
    pub async fn create_token(&self, order: &Order, request: TokenRequest) -> Result<TokenReply, CloudError> {
        names::check(&request.name)?;
        if order.key.is_some() {
            return Err(CloudError::invalid(
                "making a token cannot be repeated: its answer is shown once",
                "leave out the idempotency key",
            ));
        }
        let broken = |error: getrandom::Error| CloudError::Broken(error.to_string());
        let Secret { text, digest } = secret::make(PREFIX).map_err(broken)?;
        let now = now_ms();
        let expires_ms = match request.expires_in_seconds {
            None => None,
            Some(seconds) => Some(secret::expiry(now, seconds).ok_or_else(|| {
                CloudError::invalid(
                    format!("{seconds} seconds is no time for a token"),
                    "give 1 to 3153600000",
                )
            })?),
        };
        let token = ApiToken {
            id: Id::new(),
            name: request.name,
            digest,
            created_by: order.who.clone(),
            created_ms: now,
            expires_ms,
        };
        let mut db = self.store.write().await?;
        api_token::insert(&mut db, &token).await.map_err(names::taken(Kind::Token, &token.name))?;
        db.commit().await?;
        Ok(TokenReply { secret: text, token: encode(token) })
    }

    /// Revokes a token: from now on nobody gets in with it.
    pub async fn delete_token(&self, order: &Order, token: &str) -> Result<(), CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(()) => return Ok(()),
            Begun::Fresh(db) => db,
        };
        let token = find(&mut db, token).await?;
        api_token::delete(&mut db, token.id).await?;
        finish(db, order, &()).await
    }

    /// Whose token `text` is, if it is one and has not ended.
    pub async fn token_bearer(&self, text: &str) -> Result<Option<String>, CloudError> {
        if !text.starts_with(PREFIX) {
            return Ok(None);
        }
        let found = api_token::by_digest(&mut *self.store.read().await?, &secret::digest(text)).await?;
        let valid = found.filter(|token| token.expires_ms.is_none_or(|expires| expires > now_ms()));
        Ok(valid.map(|token| format!("token {}", token.name)))
    }
}

fn encode(token: ApiToken) -> Token {
    Token {
        id: token.id.0,
        name: token.name,
        created_by: token.created_by,
        created_at_ms: token.created_ms,
        expires_at_ms: token.expires_ms,
    }
}
