//! HTTP, and all of it: the route table is on this page, each resource has a file. A handler decodes, makes one call
//! and encodes.

mod about;
mod dashboard;
mod guard;
mod health;
mod host;
mod problem;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use crate::run::Server;

/// The longest request that is read, in bytes.
const REQUEST_LIMIT: usize = 16 << 10;

/// Everything that the server answers.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        // Open to everybody.
        .route("/api/v1/health", get(health::health))
        .route("/api/v1/about", get(about::about))
        .route("/api/v1/login", post(session::login))
        // With a session.
        .route("/api/v1/logout", post(session::logout))
        .route("/api/v1/host/local", get(host::local))
        // Everything else is a file of the dashboard or nothing.
        .fallback(dashboard::page)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
        .layer(from_fn(guard::guard))
        .with_state(server)
}
