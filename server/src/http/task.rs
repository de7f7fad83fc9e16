//! `/api/v1/tasks`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use server_api::error::ErrorReply;
use server_api::task::{Task, TaskList};

use super::command::{Command, Empty};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// The newest 500 tasks.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", responses(
    (status = 200, body = TaskList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<TaskList>, Problem> {
    Ok(Json(server.cloud.tasks().await?))
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{task}", tag = "tasks", params(("task" = String, Path)), responses(
    (status = 200, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(task): Path<String>,
) -> Result<Json<Task>, Problem> {
    Ok(Json(server.cloud.task(&task).await?))
}

/// Cancels a task: it begins no further step, and puts back those that it did. One whose last step is done by
/// then has succeeded.
#[utoipa::path(post, path = "/api/v1/tasks/{task}/cancel", tag = "tasks",
    params(("task" = String, Path)), responses(
    (status = 200, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn cancel(
    State(server): State<Arc<Server>>,
    Path(task): Path<String>,
    _: Command<Empty>,
) -> Result<Json<Task>, Problem> {
    Ok(Json(server.cloud.cancel_task(&task).await?))
}
