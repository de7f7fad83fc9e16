//! `POST /api/v1/login`, `POST /api/v1/logout`, and what a request with a session looks like.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use packaging_service::serve::Peer;
use server_api::error::{ErrorCode, ErrorReply};
use server_api::session::{LoginReply, LoginRequest, LogoutReply};

use super::audit::Noted;
use super::problem::Problem;
use crate::cloud::CloudError;
use crate::run::Server;

/// A request of somebody who is in, by a session or an API token. A handler that takes one is closed to
/// everybody else.
#[derive(Debug)]
pub struct Session {
    token: String,
    /// Who it is.
    pub who: String,
}

impl FromRequestParts<Arc<Server>> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let Some(token) = token else {
            return Err(Problem::new(ErrorCode::NoSession, "this needs a session").next("log in first"));
        };
        match bearer(server, &token).await? {
            Some(who) => {
                if let Some(noted) = parts.extensions.get::<Noted>() {
                    noted.who(who.clone());
                }
                Ok(Self { token, who })
            }
            None => Err(Problem::new(ErrorCode::NoSession, "the session has ended").next("log in again")),
        }
    }
}

impl Session {
    /// True as long as it has not ended and nobody took its token back.
    pub async fn holds(&self, server: &Server) -> bool {
        matches!(bearer(server, &self.token).await, Ok(Some(_)))
    }
}

/// Who is in with a token.
async fn bearer(server: &Server, token: &str) -> Result<Option<String>, CloudError> {
    match server.login.user(token) {
        Some(user) => Ok(Some(user)),
        None => server.cloud.token_bearer(token).await,
    }
}

/// Comes in.
#[utoipa::path(post, path = "/api/v1/login", tag = "session", security(()), responses(
    (status = 200, body = LoginReply), (status = "default", body = ErrorReply)
))]
pub async fn login(
    State(server): State<Arc<Server>>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(noted): Extension<Noted>,
    request: Result<Json<LoginRequest>, JsonRejection>,
) -> Result<Json<LoginReply>, Problem> {
    let Json(LoginRequest { user, password }) = request?;
    // What is no user's name may be a password that was typed into the wrong field.
    noted.who(if server.login.knows(&user) { &user } else { "unknown" });
    let entry = server.login.enter(user, password, peer.ip()).await?;
    server.cloud.remember_session(&entry).await?;
    let expires_in_seconds = entry.lasts.as_secs();
    Ok(Json(LoginReply { token: entry.token, user: entry.user, expires_in_seconds }))
}

/// Goes.
#[utoipa::path(post, path = "/api/v1/logout", tag = "session", responses(
    (status = 200, body = LogoutReply), (status = "default", body = ErrorReply)
))]
pub async fn logout(
    State(server): State<Arc<Server>>,
    session: Session,
) -> Result<Json<LogoutReply>, Problem> {
    server.login.leave(&session.token);
    server.cloud.forget_session(&session.token).await?;
    Ok(Json(LogoutReply {}))
}
