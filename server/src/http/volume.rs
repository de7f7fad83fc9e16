//! `/api/v1/volumes`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use server_api::error::ErrorReply;
use server_api::task::Task;
use server_api::volume::{ResizeRequest, Volume, VolumeList, VolumeRequest};

use super::command::{Accepted, Command, Empty, accepted};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// All volumes.
#[utoipa::path(get, path = "/api/v1/volumes", tag = "volumes", responses(
    (status = 200, body = VolumeList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<VolumeList>, Problem> {
    Ok(Json(server.cloud.volumes().await?))
}

/// One volume.
#[utoipa::path(get, path = "/api/v1/volumes/{volume}", tag = "volumes",
    params(("volume" = String, Path)), responses(
    (status = 200, body = Volume), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(volume): Path<String>,
) -> Result<Json<Volume>, Problem> {
    Ok(Json(server.cloud.volume(&volume).await?))
}

/// Makes a volume, blank or on an image.
#[utoipa::path(post, path = "/api/v1/volumes", tag = "volumes", responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<VolumeRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.create_volume(&order, body).await?))
}

/// Makes a volume bigger.
#[utoipa::path(post, path = "/api/v1/volumes/{volume}/resize", tag = "volumes",
    params(("volume" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn resize(
    State(server): State<Arc<Server>>,
    Path(volume): Path<String>,
    Command { order, body }: Command<ResizeRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.resize_volume(&order, &volume, &body).await?))
}

/// Removes a volume that is a disk of nobody.
#[utoipa::path(delete, path = "/api/v1/volumes/{volume}", tag = "volumes",
    params(("volume" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(volume): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.delete_volume(&order, &volume).await?))
}
