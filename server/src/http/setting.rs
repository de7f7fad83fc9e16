//! `/api/v1/config`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use server_api::config::{
    Setting, SettingChange, SettingHistory, SettingList, SettingsChange, SettingsChanged,
};
use server_api::error::ErrorReply;

use super::command::{Command, Empty};
use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

/// All settings.
#[utoipa::path(get, path = "/api/v1/config", tag = "config", responses(
    (status = 200, body = SettingList), (status = "default", body = ErrorReply)
))]
pub async fn list(State(server): State<Arc<Server>>, _: Session) -> Result<Json<SettingList>, Problem> {
    Ok(Json(server.cloud.settings().await?))
}

/// Sets several settings, all or none.
#[utoipa::path(put, path = "/api/v1/config", tag = "config", responses(
    (status = 200, body = SettingsChanged), (status = "default", body = ErrorReply)
))]
pub async fn set_several(
    State(server): State<Arc<Server>>,
    Command { order, body }: Command<SettingsChange>,
) -> Result<Json<SettingsChanged>, Problem> {
    Ok(Json(server.cloud.set_several(&order, &body.values, body.accepts_loss).await?))
}

/// One setting.
#[utoipa::path(get, path = "/api/v1/config/{key}", tag = "config", params(("key" = String, Path)), responses(
    (status = 200, body = Setting), (status = "default", body = ErrorReply)
))]
pub async fn show(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(key): Path<String>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(server.cloud.setting(&key).await?))
}

/// Sets a setting.
#[utoipa::path(put, path = "/api/v1/config/{key}", tag = "config", params(("key" = String, Path)), responses(
    (status = 200, body = Setting), (status = "default", body = ErrorReply)
))]
pub async fn set(
    State(server): State<Arc<Server>>,
    Path(key): Path<String>,
    Command { order, body }: Command<SettingChange>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(server.cloud.set(&order, &key, Some(&body.value), body.accepts_loss).await?))
}

/// Gives a setting its default again.
#[utoipa::path(delete, path = "/api/v1/config/{key}", tag = "config",
    params(("key" = String, Path)), responses(
    (status = 200, body = Setting), (status = "default", body = ErrorReply)
))]
pub async fn reset(
    State(server): State<Arc<Server>>,
    Path(key): Path<String>,
    Command { order, .. }: Command<Empty>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(server.cloud.set(&order, &key, None, false).await?))
}

/// What was changed about a setting, by whom and when.
#[utoipa::path(get, path = "/api/v1/config/{key}/history", tag = "config",
    params(("key" = String, Path)), responses(
    (status = 200, body = SettingHistory), (status = "default", body = ErrorReply)
))]
pub async fn history(
    State(server): State<Arc<Server>>,
    _: Session,
    Path(key): Path<String>,
) -> Result<Json<SettingHistory>, Problem> {
    Ok(Json(server.cloud.setting_history(&key).await?))
}
