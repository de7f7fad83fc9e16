//! `/api/v1/hosts` and `GET /api/v1/host/local`.

use std::sync::Arc;

use agent_protocol::call;
use agent_protocol::host::FactsRequest;
use agent_protocol::join::{JoinFailure, JoinFailureCode, JoinRequest};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use packaging_service::serve::Peer;
use server_api::error::{ErrorCode, ErrorReply};
use server_api::host::{Host, HostFacts, HostList, HostRemoval, JoinTokenReply, JoinTokenRequest};

use super::audit::{Noted, Outcome};
use super::command::Command;
use super::problem::Problem;
use super::session::Session;
use crate::cloud::host::facts;
use crate::cloud::reach;
use crate::run::Server;

/// The host that the server runs on, as its agent describes it now.
#[utoipa::path(get, path = "/api/v1/host/local", tag = "hosts", responses(
    (status = 200, body = HostFacts), (status = "default", body = ErrorReply)
))]
pub async fn local(State(server): State<Arc<Server>>, _: Session) -> Result<Json<HostFacts>, Problem> {
    Ok(Json(facts(server.local_agent.call::<call::HostFacts>(FactsRequest {}).await?)))
}

/// All hosts.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "hosts", responses(
    (status = 200, body = HostList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<HostList>, Problem> {
    Ok(Json(server.cloud.hosts().await?))
}

/// One host.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", tag = "hosts", params(("host" = String, Path)), responses(
    (status = 200, body = Host), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(host): Path<String>,
) -> Result<Json<Host>, Problem> {
    Ok(Json(server.cloud.host(&host).await?))
}

/// Removes a host on which nothing lies, or with all that the server knows of it. Its identity is nobody's from then on.
#[utoipa::path(delete, path = "/api/v1/hosts/{host}", tag = "hosts",
    params(("host" = String, Path)), request_body = Option<HostRemoval>, responses(
    (status = 204), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(host): Path<String>,
    Command { order, body }: Command<HostRemoval>,
) -> Result<StatusCode, Problem> {
    server.cloud.delete_host(&order, &host, body.forget.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a token with which one host can join.
#[utoipa::path(post, path = "/api/v1/hosts/tokens", tag = "hosts", responses(
    (status = 201, body = JoinTokenReply), (status = "default", body = ErrorReply)
))]
pub async fn create_token(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Command { order, body }: Command<JoinTokenRequest>,
) -> Result<(StatusCode, Json<JoinTokenReply>), Problem> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let reached = body.server.as_deref().or(named).unwrap_or_default();
    let authority: Authority = reached.parse().map_err(|_| {
        Problem::new(ErrorCode::Invalid, format!("`{reached}` is no name or address of a server"))
            .next("give one like `cloud.example:8443`")
    })?;
    let mut host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if body.server.is_none() {
        host = reach::choose(&host, &reach::own())?;
    }
    let reply = server.cloud.create_join_token(&order, &body, (host, authority.port_u16())).await?;
    Ok((StatusCode::CREATED, Json(reply)))
}

/// Takes a host in. It shows a token instead of a session, and speaks the agents' protocol.
pub async fn join(
    State(server): State<Arc<Server>>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(noted): Extension<Noted>,
    request: Result<Json<JoinRequest>, JsonRejection>,
) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => {
            let message = format!(
                "cannot read the request: {}; join with an agent of the server's version",
                rejection.body_text()
            );
            return refused(JoinFailure { code: JoinFailureCode::Request, message });
        }
    };
    let joined = server.cloud.join(peer.ip(), &request).await;
    // Whoever holds no token is slowed down before he can fill the log; what cannot be read is not.
    if !matches!(joined, Err(JoinFailure { code: JoinFailureCode::Request, .. })) {
        noted.who(format!("join token {}", request.token));
    }
    match joined {
        Ok(reply) => {
            noted.subject(&reply.host.to_string());
            Json(reply).into_response()
        }
        Err(failure) => refused(failure),
    }
}

fn refused(failure: JoinFailure) -> Response {
    let status = match failure.code {
        JoinFailureCode::Used | JoinFailureCode::Expired => StatusCode::GONE,
        JoinFailureCode::Unknown => StatusCode::FORBIDDEN,
        JoinFailureCode::Request => StatusCode::BAD_REQUEST,
    };
    let word = serde_json::to_value(failure.code).ok().and_then(|word| word.as_str().map(str::to_owned));
    let mut response = (status, Json(failure)).into_response();
    response.extensions_mut().insert(Outcome(word.unwrap_or_default()));
    response
}
