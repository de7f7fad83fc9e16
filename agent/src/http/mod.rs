//! HTTP, and all of it: the route tables of the two doors. The server comes in by [`calls`], health questions from this
//! host by [`local`]; neither sees what is behind the other.

mod call;
mod health;
mod host;

use std::sync::Arc;

use agent_protocol::call::HostFacts;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

use crate::run::Agent;

/// Where the local socket answers.
pub const HEALTH_PATH: &str = "/health";

/// The longest request that is read, in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

/// What the server may call.
pub fn calls(agent: Arc<Agent>) -> Router {
    Router::new()
        .merge(call::route::<HostFacts, _>(host::facts))
        .fallback(call::unknown)
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
        .with_state(agent)
}

/// What this host may ask.
pub fn local(agent: Arc<Agent>) -> Router {
    Router::new().route(HEALTH_PATH, get(health::health)).with_state(agent)
}
