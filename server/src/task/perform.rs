//! Doing a step: the call to the agent. It may happen more than once for one order; what its answer changes
//! is in `apply`, and happens once. Steps about virtual machines are in `perform_vm`.

use std::time::Duration;

use agent_protocol::call::{Call, ImageImport, VolumeCreate, VolumeDelete, VolumeResize};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::VmState;
use agent_protocol::volume::{CreateRequest, Image, ImportRequest, PathRequest, ResizeRequest, Volume};
use server_api::error::{ErrorCode, ErrorReply};
use thiserror::Error;

use super::perform_vm;
use super::step::Step;
use crate::agents::{Agent, AgentError, words};
use crate::cloud::Cloud;
use crate::store::{self, Connection, Id, StoreError};

/// What an agent answered.
#[derive(Debug)]
pub enum Answer {
    /// What a file is now.
    Volume(Volume),
    /// What an image turned out to be.
    Image(Image),
    /// What a virtual machine is now.
    Vm(Box<VmState>),
    /// That it is done.
    Done,
}

/// Why a step is not done.
#[derive(Debug, Error)]
pub enum StepError {
    /// The agent does not answer, or refuses.
    #[error("{cause}")]
    Agent {
        /// The host.
        id: Id,
        /// How people call it.
        host: String,
        /// What went wrong.
        cause: AgentError,
    },
    /// What the step is about is not there any more.
    #[error("what this step is about is not there any more")]
    Gone,
    /// The image is not the one that was expected.
    #[error("the SHA-256 of `{path}` is {found}, not {expected}")]
    Checksum {
        /// The file that was copied.
        path: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StepError {
    /// As the public hears it.
    #[must_use]
    pub fn reply(&self) -> ErrorReply {
        let reply = |code, next: &str| ErrorReply {
            code,
            message: self.to_string(),
            cause: None,
            next: Some(next.to_owned()),
        };
        match self {
            Self::Agent { host, cause, .. } => cause.reply(host),
            Self::Gone => reply(ErrorCode::Conflict, "list the resources and ask again"),
            Self::Checksum { .. } => {
                reply(ErrorCode::ChecksumMismatch, "copy the file to the host again, or correct the checksum")
            }
            Self::Store(_) => reply(ErrorCode::Internal, "look into the server's log"),
        }
    }

    /// True if the agent did nothing, for certain: it was not asked, or refused before it began.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        match self {
            Self::Gone => true,
            Self::Checksum { .. } | Self::Store(_) => false,
            Self::Agent { cause, .. } => match cause {
                AgentError::None | AgentError::NoAddress { .. } | AgentError::Version { .. } => true,
                AgentError::Unreachable { .. } | AgentError::Slow { .. } | AgentError::Strange { .. } => {
                    false
                }
                AgentError::Refused { failure, .. } => {
                    let unclear = [FailureCode::Failed, FailureCode::Internal, FailureCode::Interrupted];
                    !unclear.contains(&failure.code)
                }
            },
        }
    }

    /// What the agent said, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<FailureCode> {
        match self {
            Self::Agent { cause, .. } => cause.refusal(),
            Self::Gone | Self::Checksum { .. } | Self::Store(_) => None,
        }
    }
}

/// An agent, with the name of its host.
#[derive(Debug)]
pub struct Reach {
    agent: Agent,
    id: Id,
    host: String,
    order: Asked,
}

/// An order to an agent as it is asked for once: under which operation, and how long that may take. One that
/// takes longer is asked for again, which joins what the agent is doing.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What makes a repeat one.
    pub operation: Id,
    /// How long the agent may take to answer.
    pub limit: Duration,
}

impl Reach {
    /// The agent of `host`, for one operation.
    pub async fn to(cloud: &Cloud, db: &mut Connection, host: Id, order: Asked) -> Result<Self, StepError> {
        let host = store::host::by_id(db, host).await?.ok_or(StepError::Gone)?;
        let (agent, name) = (cloud.agents.of(&host), format!("`{}`", host.name));
        let agent = agent.map_err(|cause| StepError::Agent { id: host.id, host: name.clone(), cause })?;
        Ok(Self { agent, id: host.id, host: name, order })
    }

    /// Makes the call.
    pub async fn call<C: Call>(&self, arguments: C::Request) -> Result<C::Reply, StepError> {
        let called = self.agent.call::<C>(self.order.operation.0, arguments, self.order.limit).await;
        called.map_err(|cause| StepError::Agent { id: self.id, host: self.host.clone(), cause })
    }
}

/// Makes the call of a step.
///
/// # Errors
/// See [`StepError`].
pub async fn perform(cloud: &Cloud, step: &Step, order: Asked) -> Result<Answer, StepError> {
    let mut db = cloud.store.read().await?;
    match *step {
        Step::ImportImage { image } | Step::DeleteImage { image, .. } => {
            let image = store::image::by_id(&mut db, image).await?.ok_or(StepError::Gone)?;
            let reach = Reach::to(cloud, &mut db, image.host_id, order).await?;
            drop(db);
            if matches!(step, Step::DeleteImage { .. }) {
                return delete_file(&reach, image.path).await;
            }
            let request = ImportRequest { source: image.source.clone(), path: image.path.clone() };
            let imported = reach.call::<ImageImport>(request).await?;
            match image.expected_sha256 {
                Some(expected) if expected != imported.sha256 => {
                    Err(StepError::Checksum { path: image.source, expected, found: imported.sha256 })
                }
                Some(_) | None => Ok(Answer::Image(imported)),
            }
        }
        Step::CreateVolume { volume }
        | Step::ResizeVolume { volume, .. }
        | Step::DeleteVolume { volume, .. } => {
            let row = store::volume::by_id(&mut db, volume).await?.ok_or(StepError::Gone)?;
            let reach = Reach::to(cloud, &mut db, row.host_id, order).await?;
            if let Step::ResizeVolume { size_bytes, .. } = *step {
                drop(db);
                let format = words::format_to_agent(row.format.0);
                let request = ResizeRequest { path: row.path, format, size_bytes };
                return Ok(Answer::Volume(reach.call::<VolumeResize>(request).await?));
            }
            if matches!(step, Step::DeleteVolume { .. }) {
                drop(db);
                return delete_file(&reach, row.path).await;
            }
            let backing = match row.image_id {
                Some(image) => {
                    let image = store::image::by_id(&mut db, image).await?.ok_or(StepError::Gone)?;
                    let format = image.format.ok_or(StepError::Gone)?.0;
                    Some(words::backing(&image.path, format))
                }
                None => None,
            };
            drop(db);
            let request = CreateRequest {
                path: row.path,
                format: words::format_to_agent(row.format.0),
                size_bytes: row.size_bytes.map(i64::cast_unsigned),
                backing,
            };
            Ok(Answer::Volume(reach.call::<VolumeCreate>(request).await?))
        }
        Step::DefineVm { vm, .. }
        | Step::StartVm { vm, .. }
        | Step::ShutdownVm { vm, .. }
        | Step::DestroyVm { vm, .. }
        | Step::RebootVm { vm, .. }
        | Step::ChangeCache { vm, .. }
        | Step::ResetVm { vm }
        | Step::SuspendVm { vm }
        | Step::ResumeVm { vm }
        | Step::UndefineVm { vm, .. }
        | Step::AttachVolume { vm, .. }
        | Step::DetachVolume { vm, .. }
        | Step::InsertMedia { vm, .. }
        | Step::EjectMedia { vm, .. } => {
            let row = store::vm::by_id(&mut db, vm).await?.ok_or(StepError::Gone)?;
            let reach = Reach::to(cloud, &mut db, row.host_id, order).await?;
            perform_vm::perform(db, step, row, &reach).await
        }
    }
}

/// Removes a file; one that is not there is removed.
pub async fn delete_file(reach: &Reach, path: String) -> Result<Answer, StepError> {
    reach.call::<VolumeDelete>(PathRequest { path }).await.map(drop).or_else(not_there)?;
    Ok(Answer::Done)
}

/// What is to be removed and is not there is removed.
pub fn not_there(error: StepError) -> Result<(), StepError> {
    match error.refusal() {
        Some(FailureCode::NotFound) => Ok(()),
        _ => Err(error),
    }
}
