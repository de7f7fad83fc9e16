//! `/api/v1/storages`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use server_api::error::ErrorReply;
use server_api::storage::{Storage, StorageList, StorageRequest};

use super::command::{Command, Empty};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// All storages.
#[utoipa::path(get, path = "/api/v1/storages", tag = "storages", responses(
    (status = 200, body = StorageList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<StorageList>, Problem> {
    Ok(Json(server.cloud.storages().await?))
}

/// One storage.
#[utoipa::path(get, path = "/api/v1/storages/{storage}", tag = "storages",
    params(("storage" = String, Path)), responses(
    (status = 200, body = Storage), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(storage): Path<String>,
) -> Result<Json<Storage>, Problem> {
    Ok(Json(server.cloud.storage(&storage).await?))
}

/// Adds a storage, once its folder was looked at.
#[utoipa::path(post, path = "/api/v1/storages", tag = "storages", responses(
    (status = 201, body = Storage), (status = "default", body = ErrorReply)
))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<StorageRequest>,
) -> Result<(StatusCode, Json<Storage>), Problem> {
    Ok((StatusCode::CREATED, Json(server.cloud.create_storage(&order, body).await?)))
}

/// Measures what a storage is worth for disks. It takes seconds, and leaves nothing in it.
#[utoipa::path(post, path = "/api/v1/storages/{storage}/check", tag = "storages",
    params(("storage" = String, Path)), responses(
    (status = 200, body = Storage), (status = "default", body = ErrorReply)
))]
pub async fn check(
    State(server): State<Arc<Server>>,
    Path(storage): Path<String>,
    _: Command<Empty>,
) -> Result<Json<Storage>, Problem> {
    Ok(Json(server.cloud.check_storage(&storage).await?))
}

/// Removes a storage in which nothing lies. Its folder stays.
#[utoipa::path(delete, path = "/api/v1/storages/{storage}", tag = "storages",
    params(("storage" = String, Path)), responses(
    (status = 204), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(storage): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<StatusCode, Problem> {
    server.cloud.delete_storage(&order, &storage).await?;
    Ok(StatusCode::NO_CONTENT)
}
