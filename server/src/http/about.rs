//! `GET /api/v1/about`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use server_api::about::About;

use crate::run::Server;

pub async fn about(State(server): State<Arc<Server>>) -> Json<About> {
    let dashboard = server.dashboard.clone();
    // Without an answer the version is unknown, as it is without a dashboard.
    let version = tokio::task::spawn_blocking(move || dashboard.version()).await.unwrap_or_default();
    Json(server.origin.about(version))
}
