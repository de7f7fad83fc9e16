//! `/api/v1/images`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use server_api::error::ErrorReply;
use server_api::image::{Image, ImageList, ImageRequest};
use server_api::task::Task;

use super::command::{Accepted, Command, Empty, accepted};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// All images.
#[utoipa::path(get, path = "/api/v1/images", tag = "images", responses(
    (status = 200, body = ImageList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<ImageList>, Problem> {
    Ok(Json(server.cloud.images().await?))
}

/// One image.
#[utoipa::path(get, path = "/api/v1/images/{image}", tag = "images",
    params(("image" = String, Path)), responses(
    (status = 200, body = Image), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(image): Path<String>,
) -> Result<Json<Image>, Problem> {
    Ok(Json(server.cloud.image(&image).await?))
}

/// Copies a file of a host into a storage there.
#[utoipa::path(post, path = "/api/v1/images", tag = "images", responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<ImageRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.import_image(&order, body).await?))
}

/// Removes an image that nothing needs.
#[utoipa::path(delete, path = "/api/v1/images/{image}", tag = "images",
    params(("image" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(image): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.delete_image(&order, &image).await?))
}
