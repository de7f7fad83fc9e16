//! HTTP, and all of it: the route table is on this page, each resource has a file. A handler decodes, makes one call
//! and encodes. What is in the table is in the OpenAPI document, too.

mod about;
mod audit;
mod cache;
mod command;
mod dashboard;
mod event;
mod file;
mod guard;
mod health;
mod host;
mod image;
mod openapi;
mod problem;
mod session;
mod setting;
mod storage;
mod task;
mod token;
mod vm;
mod volume;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::openapi::text as openapi;
use crate::run::Server;

/// The longest request that is read, in bytes.
const REQUEST_LIMIT: usize = 16 << 10;

/// The public API.
fn api() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::with_openapi(openapi::frame())
        // Open to everybody.
        .routes(routes!(health::health))
        .routes(routes!(about::about))
        .routes(routes!(session::login))
        // With a session or an API token.
        .routes(routes!(session::logout))
        .routes(routes!(event::events))
        .routes(routes!(audit::list))
        .routes(routes!(host::local))
        .routes(routes!(host::list))
        .routes(routes!(host::show, host::delete))
        .routes(routes!(host::create_token))
        .routes(routes!(storage::list, storage::create))
        .routes(routes!(storage::show, storage::delete))
        .routes(routes!(storage::check))
        .routes(routes!(cache::of_storage, cache::set_storage, cache::clear_storage))
        .routes(routes!(image::list, image::create))
        .routes(routes!(image::show, image::delete))
        .routes(routes!(volume::list, volume::create))
        .routes(routes!(volume::show, volume::delete))
        .routes(routes!(volume::resize))
        .routes(routes!(cache::explain, cache::set_volume, cache::clear_volume))
        .routes(routes!(cache::dry_run))
        .routes(routes!(vm::list, vm::create))
        .routes(routes!(vm::show, vm::delete))
        .routes(routes!(vm::start))
        .routes(routes!(vm::shutdown))
        .routes(routes!(vm::force_off))
        .routes(routes!(vm::reboot))
        .routes(routes!(vm::reset))
        .routes(routes!(vm::pause))
        .routes(routes!(vm::resume))
        .routes(routes!(vm::attach))
        .routes(routes!(vm::detach))
        .routes(routes!(vm::insert, vm::eject))
        .routes(routes!(vm::console))
        .routes(routes!(vm::migration))
        .routes(routes!(cache::of_vm, cache::set_vm, cache::clear_vm))
        .routes(routes!(cache::apply_cache))
        .routes(routes!(task::list))
        .routes(routes!(task::show))
        .routes(routes!(task::cancel))
        .routes(routes!(setting::list, setting::set_several))
        .routes(routes!(setting::show, setting::set, setting::reset))
        .routes(routes!(setting::history))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::delete))
}

/// Everything that the server answers.
pub fn router(server: Arc<Server>) -> Router {
    let (router, _) = api().split_for_parts();
    router
        .route("/api/v1/openapi.json", get(openapi::show))
        // With a token that lets one host join.
        .route(agent_protocol::join::PATH, post(host::join))
        .route("/api/v1/hosts/file/{token}/{key}", get(file::fetch))
        // Everything else is a file of the dashboard or nothing.
        .fallback(dashboard::page)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
        .layer(from_fn_with_state(server.clone(), audit::keep))
        .layer(from_fn(guard::guard))
        .with_state(server)
}
