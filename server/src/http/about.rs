//! `GET /api/v1/about`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use server_api::about::About;
use server_api::error::ErrorReply;

use crate::run::Server;

/// What is installed.
#[utoipa::path(get, path = "/api/v1/about", tag = "server", security(()), responses(
    (status = 200, body = About), (status = "default", body = ErrorReply)
))]
pub async fn about(State(server): State<Arc<Server>>) -> Json<About> {
    let dashboard = server.dashboard.clone();
    // Without an answer the version is unknown, as it is without a dashboard.
    let version = tokio::task::spawn_blocking(move || dashboard.version()).await.unwrap_or_default();
    Json(server.origin.about(version))
}
