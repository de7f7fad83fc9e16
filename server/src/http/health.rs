//! `GET /api/v1/health`.

use axum::Json;
use server_api::health::{Health, Status};

/// Whether the server answers.
#[utoipa::path(get, path = "/api/v1/health", tag = "server", security(()),
    responses((status = 200, body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: Status::Ok })
}
