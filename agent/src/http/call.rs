//! What all calls have in common: the envelope is opened, its version checked, the call made, the answer put into an
//! envelope. A call itself is a function from its request to its reply.

use std::future::Future;
use std::sync::Arc;

use agent_hypervisor::Attempt;
use agent_protocol::VERSION;
use agent_protocol::call::{Call, Repeat};
use agent_protocol::envelope::{Failure, FailureCode, OperationId, Reply, Request};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::REQUEST_LIMIT;
use crate::operations::Order;
use crate::operations::record::Outcome;
use crate::operations::turn::About;
use crate::refusal::Refusal;
use crate::run::Agent;

/// What to do where server and agent do not understand each other.
const SAME_RELEASE: &str = "bring server and agent to the same release";

/// What came, if it was read.
type Body = Result<Bytes, BytesRejection>;

/// The version alone, so that a request of another version gets an answer that says so.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// The route of a call that only looks, answered by `work`.
pub fn looks<C, F>(
    work: impl Fn(Arc<Agent>, C::Request) -> F + Clone + Send + Sync + 'static,
) -> Router<Arc<Agent>>
where
    C: Call,
    F: Future<Output = Result<C::Reply, Refusal>> + Send + 'static,
{
    const { assert!(matches!(C::REPEAT, Repeat::Anew), "this call changes something") };
    let handler = async move |State(agent): State<Arc<Agent>>, body: Body| {
        let request = decode::<C>(body)?;
        let result = work(agent, request.arguments).await?;
        Ok::<_, Refusal>(reply(request.operation, result))
    };
    Router::new().route(C::PATH, post(handler))
}

/// The route of a call that changes something, carried out once by `work`.
pub fn changes<C, F>(
    work: impl Fn(Arc<Agent>, C::Request, Attempt) -> F + Clone + Send + Sync + 'static,
) -> Router<Arc<Agent>>
where
    C: About,
    F: Future<Output = Result<C::Reply, Refusal>> + Send + 'static,
{
    const { assert!(matches!(C::REPEAT, Repeat::Remembered), "this call only looks") };
    let handler = async move |State(agent): State<Arc<Agent>>, body: Body| {
        let request = decode::<C>(body)?;
        let operation = request.operation;
        let order = Order::new::<C>(operation.0, &request.arguments)?;
        let operations = agent.operations.clone();
        let work = move |attempt| {
            let done = work(agent.clone(), request.arguments.clone(), attempt);
            async {
                match done.await {
                    Ok(reply) => to_raw_value(&reply).map_or_else(unwritable, Outcome::Reply),
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
        };
        match operations.run(order, work).await {
            Outcome::Reply(result) => Ok(reply(operation, result)),
            Outcome::Refused(refusal) => Err(refusal),
        }
    };
    Router::new().route(C::PATH, post(handler))
}

fn reply<T: Serialize>(operation: OperationId, result: T) -> Json<Reply<T>> {
    Json(Reply { protocol: VERSION, operation, result })
}

#[expect(clippy::needless_pass_by_value, reason = "it is given away by the result that it comes in")]
fn unwritable(error: serde_json::Error) -> Outcome {
    let message = format!("it was done, and the answer cannot be written: {error}; report this");
    Outcome::Refused(Refusal::new(FailureCode::Internal, message))
}

fn decode<C: Call>(body: Body) -> Result<Request<C::Request>, Refusal> {
    let body = body.map_err(|rejection| {
        let message = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            format!(
                "the request of `{}` has more than the {REQUEST_LIMIT} bytes that are read of one; ask for less at once",
                C::NAME
            )
        } else {
            format!("the request of `{}` did not arrive: {rejection}; send it again", C::NAME)
        };
        Refusal::new(FailureCode::Request, message)
    })?;
    let malformed = |error: serde_json::Error| {
        let message = format!(
            "cannot read the request of `{}`: {error}; send what version {VERSION} of the protocol says",
            C::NAME
        );
        Refusal::new(FailureCode::Request, message)
    };
    let version: Version = serde_json::from_slice(&body).map_err(malformed)?;
    if version.protocol != VERSION {
        let message = format!(
            "this agent speaks version {VERSION} of the protocol, and the request is of version {}; {SAME_RELEASE}",
            version.protocol
        );
        return Err(Refusal::new(FailureCode::Protocol, message));
    }
    let request: Request<C::Request> = serde_json::from_slice(&body).map_err(malformed)?;
    tracing::debug!("{} for operation {}", C::NAME, request.operation.0);
    Ok(request)
}

/// The answer to a path that is no call of this version.
pub async fn unknown(uri: Uri) -> Refusal {
    let path = uri.path();
    // The path of a call bears the version, so that a request of another one comes here.
    let version = path.strip_prefix("/v").and_then(|rest| rest.split('/').next()?.parse::<u32>().ok());
    let (code, what) = match version.filter(|version| *version != VERSION) {
        Some(other) => (
            FailureCode::Protocol,
            format!(
                "this agent speaks version {VERSION} of the protocol, and `{path}` is of version {other}"
            ),
        ),
        None => (FailureCode::UnknownCall, format!("this agent has no call `{path}`")),
    };
    Refusal::new(code, format!("{what}; {SAME_RELEASE}"))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.code {
            FailureCode::Protocol | FailureCode::Request => StatusCode::BAD_REQUEST,
            FailureCode::UnknownCall | FailureCode::NotFound => StatusCode::NOT_FOUND,
            FailureCode::OperationReused | FailureCode::Exists | FailureCode::Conflict => {
                StatusCode::CONFLICT
            }
            FailureCode::Invalid
            | FailureCode::Unsupported
            | FailureCode::DirectIo
            | FailureCode::LossNotAccepted => StatusCode::UNPROCESSABLE_ENTITY,
            FailureCode::GuestSilent => StatusCode::GATEWAY_TIMEOUT,
            FailureCode::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            FailureCode::Unavailable | FailureCode::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            FailureCode::Failed | FailureCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::warn!("refused a call: {}", self.message);
        (status, Json(Failure { protocol: VERSION, code: self.code, message: self.message })).into_response()
    }
}
