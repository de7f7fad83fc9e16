//! Calls about volumes, images and folders.

use std::sync::Arc;

use agent_hypervisor::Attempt;
use agent_protocol::survey::Survey;
use agent_protocol::vm::Done;
use agent_protocol::volume::{
    CreateRequest, Folder, Image, ImportRequest, PathRequest, ResizeRequest, Volume, VolumeRequest,
};

use crate::convert::{Same, from_folder, from_image, from_volume, to_path, to_volume_spec};
use crate::convert_survey::from_survey;
use crate::refusal::Refusal;
use crate::run::Agent;

pub async fn show(agent: Arc<Agent>, request: VolumeRequest) -> Result<Volume, Refusal> {
    Ok(from_volume(agent.hypervisor.volume(&to_path(request.path)?, request.format.same()).await?))
}

pub async fn create(agent: Arc<Agent>, request: CreateRequest, attempt: Attempt) -> Result<Volume, Refusal> {
    Ok(from_volume(agent.hypervisor.create_volume(&to_volume_spec(request)?, attempt).await?))
}

pub async fn resize(agent: Arc<Agent>, request: ResizeRequest, attempt: Attempt) -> Result<Volume, Refusal> {
    let path = to_path(request.path)?;
    let (format, size_bytes) = (request.format.same(), request.size_bytes);
    Ok(from_volume(agent.hypervisor.resize_volume(&path, format, size_bytes, attempt).await?))
}

pub async fn delete(agent: Arc<Agent>, request: PathRequest, attempt: Attempt) -> Result<Done, Refusal> {
    agent.hypervisor.delete_volume(&to_path(request.path)?, attempt).await?;
    Ok(Done {})
}

pub async fn import(agent: Arc<Agent>, request: ImportRequest, attempt: Attempt) -> Result<Image, Refusal> {
    let (source, path) = (to_path(request.source)?, to_path(request.path)?);
    Ok(from_image(agent.hypervisor.import_image(&source, &path, attempt).await?))
}

pub async fn survey(agent: Arc<Agent>, request: PathRequest) -> Result<Survey, Refusal> {
    Ok(from_survey(agent.hypervisor.survey(&to_path(request.path)?).await?))
}

pub async fn folder(agent: Arc<Agent>, request: PathRequest) -> Result<Folder, Refusal> {
    Ok(from_folder(agent.hypervisor.folder(&to_path(request.path)?).await?))
}
