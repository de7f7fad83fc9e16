//! `/api/v1/.../cache`: cache modes of storages, virtual machines and volumes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use server_api::cache::{CacheDryRun, CacheExplanation, CacheImpact, CacheLevel, CacheSet, CacheSettings};
use server_api::error::ErrorReply;
use server_api::task::Task;

use super::command::{Accepted, Command, Empty, accepted};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// What is set for a storage.
#[utoipa::path(get, path = "/api/v1/storages/{storage}/cache", tag = "storages", params(("storage" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn of_storage(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(name): Path<String>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.cache_settings(CacheLevel::Storage, &name).await?))
}

/// Sets a cache mode for the volumes of a storage.
#[utoipa::path(put, path = "/api/v1/storages/{storage}/cache", tag = "storages", params(("storage" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn set_storage(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, body }: Command<CacheSet>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Storage, &name, Some(body)).await?))
}

/// Clears the cache mode of the volumes of a storage: it takes what is set less specifically.
#[utoipa::path(delete, path = "/api/v1/storages/{storage}/cache", tag = "storages",
    params(("storage" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn clear_storage(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Storage, &name, None).await?))
}

/// What is set for a virtual machine.
#[utoipa::path(get, path = "/api/v1/vms/{vm}/cache", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn of_vm(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(name): Path<String>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.cache_settings(CacheLevel::Vm, &name).await?))
}

/// Sets a cache mode for the disks of a virtual machine.
#[utoipa::path(put, path = "/api/v1/vms/{vm}/cache", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn set_vm(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, body }: Command<CacheSet>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Vm, &name, Some(body)).await?))
}

/// Clears the cache mode of the disks of a virtual machine: it takes what is set less specifically.
#[utoipa::path(delete, path = "/api/v1/vms/{vm}/cache", tag = "vms",
    params(("vm" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn clear_vm(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Vm, &name, None).await?))
}

/// Changes the disks of a virtual machine that runs to the cache modes that are set for them.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/apply-cache", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn apply_cache(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.apply_cache(&order, &vm).await?))
}

/// In which mode a volume is opened, and why.
#[utoipa::path(get, path = "/api/v1/volumes/{volume}/cache", tag = "volumes", params(("volume" = String, Path)), responses(
    (status = 200, body = CacheExplanation), (status = "default", body = ErrorReply)
))]
pub async fn explain(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(name): Path<String>,
) -> Result<Json<CacheExplanation>, Problem> {
    Ok(Json(server.cloud.explain_cache(&name).await?))
}

/// Sets a cache mode for a volume.
#[utoipa::path(put, path = "/api/v1/volumes/{volume}/cache", tag = "volumes", params(("volume" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn set_volume(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, body }: Command<CacheSet>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Volume, &name, Some(body)).await?))
}

/// Clears the cache mode of a volume: it takes what is set less specifically.
#[utoipa::path(delete, path = "/api/v1/volumes/{volume}/cache", tag = "volumes",
    params(("volume" = String, Path)), responses(
    (status = 200, body = CacheSettings), (status = "default", body = ErrorReply)
))]
pub async fn clear_volume(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Json<CacheSettings>, Problem> {
    Ok(Json(server.cloud.set_cache(&order, CacheLevel::Volume, &name, None).await?))
}

/// What would come of setting or clearing a cache mode somewhere. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/cache/dry-run", tag = "config", responses(
    (status = 200, body = CacheImpact), (status = "default", body = ErrorReply)
))]
pub async fn dry_run(
    State(server): State<Arc<Server>>,
    Command { body, .. }: Command<CacheDryRun>,
) -> Result<Json<CacheImpact>, Problem> {
    Ok(Json(server.cloud.try_cache(&body).await?))
}
