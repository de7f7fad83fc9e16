//! `GET /api/v1/health`.

use axum::Json;
use server_api::health::{Health, Status};

pub async fn health() -> Json<Health> {
    Json(Health { status: Status::Ok })
}
