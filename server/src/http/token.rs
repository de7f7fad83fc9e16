//! `/api/v1/tokens`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use server_api::error::ErrorReply;
use server_api::token::{TokenList, TokenReply, TokenRequest};

use super::command::{Command, Empty};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// All API tokens.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", responses(
    (status = 200, body = TokenList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<TokenList>, Problem> {
    Ok(Json(server.cloud.tokens().await?))
}

/// Makes an API token. Its secret is shown this once.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", responses(
    (status = 201, body = TokenReply), (status = "default", body = ErrorReply)
))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<TokenRequest>,
) -> Result<(StatusCode, Json<TokenReply>), Problem> {
    Ok((StatusCode::CREATED, Json(server.cloud.create_token(&order, body).await?)))
}

/// Revokes an API token.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path)), responses(
    (status = 204), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(token): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<StatusCode, Problem> {
    server.cloud.delete_token(&order, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}
