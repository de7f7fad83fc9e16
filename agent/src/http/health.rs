//! Health, for the local socket.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use packaging_service::report::Report;

use crate::health::report;
use crate::run::Agent;

pub async fn health(State(agent): State<Arc<Agent>>) -> (StatusCode, Json<Report>) {
    let report = report(&agent).await;
    let status = if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}
