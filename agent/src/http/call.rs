//! What all calls have in common: the envelope is opened, its version checked, the call made, the answer put into an
//! envelope. A call itself is a function from its request to its reply.

use std::future::Future;
use std::sync::Arc;

use agent_protocol::VERSION;
use agent_protocol::call::{Call, Repeat};
use agent_protocol::envelope::{Failure, FailureCode, Reply, Request};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use crate::run::Agent;

/// Why a call was not made or did not work.
#[derive(Debug)]
pub struct Refusal {
    code: FailureCode,
    message: String,
}

impl Refusal {
    /// A refusal with a sentence that ends with what to do.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The version alone, so that a request of another version gets an answer that says so.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// The route of one call, answered by `work`.
pub fn route<C, F>(
    work: impl Fn(Arc<Agent>, C::Request) -> F + Clone + Send + Sync + 'static,
) -> Router<Arc<Agent>>
where
    C: Call,
    F: Future<Output = Result<C::Reply, Refusal>> + Send + 'static,
{
    let handler =
        async move |State(agent): State<Arc<Agent>>, body: Bytes| answer::<C, F>(agent, &body, work).await;
    Router::new().route(C::PATH, post(handler))
}

async fn answer<C, F>(
    agent: Arc<Agent>,
    body: &[u8],
    work: impl Fn(Arc<Agent>, C::Request) -> F,
) -> Result<Json<Reply<C::Reply>>, Refusal>
where
    C: Call,
    F: Future<Output = Result<C::Reply, Refusal>>,
{
    let request = decode::<C>(body)?;
    tracing::debug!("{} for operation {}", C::NAME, request.operation.0);
    let result = match C::REPEAT {
        Repeat::Anew => work(agent, request.arguments).await?,
        Repeat::Remembered => {
            let message = format!("this agent cannot remember `{}` yet; upgrade it", C::NAME);
            return Err(Refusal::new(FailureCode::Unsupported, message));
        }
    };
    Ok(Json(Reply { protocol: VERSION, operation: request.operation, result }))
}

fn decode<C: Call>(body: &[u8]) -> Result<Request<C::Request>, Refusal> {
    let malformed = |error: serde_json::Error| {
        let message = format!(
            "cannot read the request of `{}`: {error}; send what version {VERSION} of the protocol says",
            C::NAME
        );
        Refusal::new(FailureCode::Request, message)
    };
    let version: Version = serde_json::from_slice(body).map_err(malformed)?;
    if version.protocol != VERSION {
        let message = format!(
            "this agent speaks version {VERSION} of the protocol, not {}; upgrade the older of server and agent",
            version.protocol
        );
        return Err(Refusal::new(FailureCode::Protocol, message));
    }
    serde_json::from_slice(body).map_err(malformed)
}

/// The answer to a path that is no call.
pub async fn unknown(uri: Uri) -> Refusal {
    let message = format!("this agent has no call `{}`; upgrade the older of server and agent", uri.path());
    Refusal::new(FailureCode::UnknownCall, message)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.code {
            FailureCode::Protocol | FailureCode::Request => StatusCode::BAD_REQUEST,
            FailureCode::UnknownCall | FailureCode::NotFound => StatusCode::NOT_FOUND,
            FailureCode::OperationReused | FailureCode::Exists | FailureCode::Conflict => {
                StatusCode::CONFLICT
            }
            FailureCode::Invalid | FailureCode::Unsupported | FailureCode::DirectIo => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            FailureCode::GuestSilent => StatusCode::GATEWAY_TIMEOUT,
            FailureCode::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            FailureCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FailureCode::Failed | FailureCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::warn!("refused a call: {}", self.message);
        (status, Json(Failure { protocol: VERSION, code: self.code, message: self.message })).into_response()
    }
}
