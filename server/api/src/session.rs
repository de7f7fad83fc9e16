//! Coming and going: `POST /api/v1/login` and `POST /api/v1/logout`. Between them each request carries
//! `Authorization: Bearer TOKEN`.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who wants in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// A session has begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginReply {
    /// What further requests show.
    pub token: String,
    /// Who is in.
    pub user: String,
    /// Seconds until the session ends by itself.
    pub expires_in_seconds: u64,
}

/// A session has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogoutReply {}

/// Without the password: a request must be fit to be logged.
impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Without the token.
impl fmt::Debug for LoginReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginReply").field("user", &self.user).finish_non_exhaustive()
    }
}
