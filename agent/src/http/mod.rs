//! HTTP, and all of it: the route tables of the two doors. The server comes in by [`calls`], health questions from this
//! host by [`local`]; neither sees what is behind the other.

mod call;
mod health;
mod host;
mod vm;
mod volume;

use std::sync::Arc;

use agent_protocol::call::{
    CacheJudge, FolderShow, FolderSurvey, HostFacts, HostRenew, HostSigningRequest, ImageImport,
    VmAttachDisk, VmChangeCache, VmConsole, VmDefine, VmDestroy, VmDetachDisk, VmEjectMedia, VmInsertMedia,
    VmList, VmMigration, VmReboot, VmReset, VmResume, VmShow, VmShutdown, VmStart, VmSuspend, VmUndefine,
    VmWatch, VolumeCreate, VolumeDelete, VolumeResize, VolumeShow,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

use crate::run::Agent;
use call::{changes, looks};

/// Where the local socket answers.
pub const HEALTH_PATH: &str = "/health";

/// The longest request that is read, in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

/// What the server may call.
pub fn calls(agent: Arc<Agent>) -> Router {
    Router::new()
        .merge(looks::<HostFacts, _>(host::facts))
        .merge(looks::<HostSigningRequest, _>(host::signing_request))
        .merge(changes::<HostRenew, _>(host::renew))
        .merge(looks::<VmList, _>(vm::list))
        .merge(looks::<VmShow, _>(vm::show))
        .merge(looks::<VmWatch, _>(vm::watch))
        .merge(looks::<VmConsole, _>(vm::console))
        .merge(changes::<VmDefine, _>(vm::define))
        .merge(changes::<VmStart, _>(vm::start))
        .merge(changes::<VmShutdown, _>(vm::shutdown))
        .merge(changes::<VmDestroy, _>(vm::destroy))
        .merge(changes::<VmReboot, _>(vm::reboot))
        .merge(changes::<VmReset, _>(vm::reset))
        .merge(changes::<VmSuspend, _>(vm::suspend))
        .merge(changes::<VmResume, _>(vm::resume))
        .merge(changes::<VmChangeCache, _>(vm::change_cache))
        .merge(changes::<VmUndefine, _>(vm::undefine))
        .merge(changes::<VmAttachDisk, _>(vm::attach_disk))
        .merge(changes::<VmDetachDisk, _>(vm::detach_disk))
        .merge(changes::<VmInsertMedia, _>(vm::insert_media))
        .merge(changes::<VmEjectMedia, _>(vm::eject_media))
        .merge(looks::<VolumeShow, _>(volume::show))
        .merge(changes::<VolumeCreate, _>(volume::create))
        .merge(changes::<VolumeResize, _>(volume::resize))
        .merge(changes::<VolumeDelete, _>(volume::delete))
        .merge(changes::<ImageImport, _>(volume::import))
        .merge(looks::<FolderShow, _>(volume::folder))
        .merge(looks::<FolderSurvey, _>(volume::survey))
        .merge(looks::<CacheJudge, _>(vm::judge))
        .merge(looks::<VmMigration, _>(vm::migration))
        .fallback(call::unknown)
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
        .with_state(agent)
}

/// What this host may ask.
pub fn local(agent: Arc<Agent>) -> Router {
    Router::new().route(HEALTH_PATH, get(health::health)).with_state(agent)
}
