//! `/api/v1/vms`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use server_api::error::ErrorReply;
use server_api::task::Task;
use server_api::vm::{AttachRequest, ConsoleReply, InsertRequest, Vm, VmList, VmMigration, VmRequest};
use utoipa::IntoParams;

use super::command::{Accepted, Command, Empty, accepted};
use super::problem::Problem;
use super::session::Session;
use crate::cloud::vm::Button;
use crate::run::Server;

/// All virtual machines.
#[utoipa::path(get, path = "/api/v1/vms", tag = "vms", responses(
    (status = 200, body = VmList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<VmList>, Problem> {
    Ok(Json(server.cloud.vms().await?))
}

/// One virtual machine.
#[utoipa::path(get, path = "/api/v1/vms/{vm}", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 200, body = Vm), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(vm): Path<String>,
) -> Result<Json<Vm>, Problem> {
    Ok(Json(server.cloud.vm(&vm).await?))
}

/// Makes a virtual machine with its disks.
#[utoipa::path(post, path = "/api/v1/vms", tag = "vms", responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<VmRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.create_vm(&order, body).await?))
}

/// How a virtual machine is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteOptions {
    /// True to remove its volumes, too.
    #[serde(default)]
    pub volumes: bool,
}

/// Removes a virtual machine; its power is cut. Its volumes stay unless they are to go.
#[utoipa::path(delete, path = "/api/v1/vms/{vm}", tag = "vms",
    params(("vm" = String, Path), DeleteOptions), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    options: Result<Query<DeleteOptions>, QueryRejection>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    let Query(options) = options?;
    Ok(accepted(server.cloud.delete_vm(&order, &vm, options.volumes).await?))
}

/// Turns it on.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/start", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn start(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Start).await?))
}

/// Asks its guest to turn it off, and waits.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/shutdown", tag = "vms",
    params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn shutdown(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Shutdown).await?))
}

/// Cuts its power.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/force-off", tag = "vms",
    params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn force_off(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::ForceOff).await?))
}

/// Asks its guest to turn it off, waits, and turns it on again.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/reboot", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn reboot(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Reboot).await?))
}

/// Starts it over without asking its guest.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/reset", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn reset(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Reset).await?))
}

/// Stops its processors.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/pause", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn pause(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Pause).await?))
}

/// Lets its processors go on.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/resume", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn resume(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.press(&order, &vm, Button::Resume).await?))
}

/// Adds a volume that is a disk of nobody.
#[utoipa::path(post, path = "/api/v1/vms/{vm}/volumes", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn attach(
    State(server): State<Arc<Server>>,
    Path(vm): Path<String>,
    Command { order, body }: Command<AttachRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.attach_volume(&order, &vm, &body).await?))
}

/// Takes a volume that is not its root disk.
#[utoipa::path(delete, path = "/api/v1/vms/{vm}/volumes/{volume}", tag = "vms",
    params(("vm" = String, Path), ("volume" = String, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn detach(
    State(server): State<Arc<Server>>,
    Path((vm, volume)): Path<(String, String)>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.detach_volume(&order, &vm, &volume).await?))
}

/// Lays an image into a CD-ROM drive, whatever lies in it.
#[utoipa::path(put, path = "/api/v1/vms/{vm}/cdroms/{drive}", tag = "vms",
    params(("vm" = String, Path), ("drive" = u8, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn insert(
    State(server): State<Arc<Server>>,
    Path((vm, drive)): Path<(String, u8)>,
    Command { order, body }: Command<InsertRequest>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.load(&order, &vm, drive, Some(&body)).await?))
}

/// Empties a CD-ROM drive.
#[utoipa::path(delete, path = "/api/v1/vms/{vm}/cdroms/{drive}", tag = "vms",
    params(("vm" = String, Path), ("drive" = u8, Path)), responses(
    (status = 202, body = Task), (status = "default", body = ErrorReply)
))]
pub async fn eject(
    State(server): State<Arc<Server>>,
    Path((vm, drive)): Path<(String, u8)>,
    Command { order, .. }: Command<Empty>,
) -> Result<Accepted, Problem> {
    Ok(accepted(server.cloud.load(&order, &vm, drive, None).await?))
}

/// Which stretch is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Stretch {
    /// From where, in bytes from the first one that is kept.
    #[serde(default)]
    pub offset: u64,
    /// How much at most, in bytes.
    #[serde(default = "usual")]
    pub limit: u64,
}

fn usual() -> u64 {
    64 << 10
}

/// What its guest wrote to its first serial line.
#[utoipa::path(get, path = "/api/v1/vms/{vm}/console", tag = "vms",
    params(("vm" = String, Path), Stretch), responses(
    (status = 200, body = ConsoleReply), (status = "default", body = ErrorReply)
))]
pub async fn console(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(vm): Path<String>,
    stretch: Result<Query<Stretch>, QueryRejection>,
) -> Result<Json<ConsoleReply>, Problem> {
    let Query(stretch) = stretch?;
    Ok(Json(server.cloud.console(&vm, stretch.offset, stretch.limit).await?))
}

/// Whether it may migrate as its disks are open, and why not.
#[utoipa::path(get, path = "/api/v1/vms/{vm}/migration", tag = "vms", params(("vm" = String, Path)), responses(
    (status = 200, body = VmMigration), (status = "default", body = ErrorReply)
))]
pub async fn migration(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(vm): Path<String>,
) -> Result<Json<VmMigration>, Problem> {
    Ok(Json(server.cloud.migration(&vm).await?))
}
