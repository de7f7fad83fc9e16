//! API tokens, for programs: `/api/v1/tokens`. A token is shown once and may do what a session may.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A token, without what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it ends by itself; absent if never.
    pub expires_at_ms: Option<i64>,
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// By name.
    pub tokens: Vec<Token>,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Its name.
    pub name: String,
    /// Seconds until it ends by itself; without it, it does not.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
}

/// A token that was made now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenReply {
    /// What requests show. Nobody sees it again.
    pub secret: String,
    /// The rest.
    pub token: Token,
}

/// Without the secret.
impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReply").field("token", &self.token).finish_non_exhaustive()
    }
}
