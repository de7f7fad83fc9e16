//! Why the cloud refuses what somebody asks of it.

use server_api::error::{ErrorCode, ErrorReply};
use server_api::event::Kind;
use server_api::task::Action;
use thiserror::Error;

use crate::agents::AgentError;
use crate::setting;
use crate::store::{Id, StoreError};

/// Every way to refuse.
#[derive(Debug, Error)]
pub enum CloudError {
    /// There is nothing of that name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of resource.
        kind: Kind,
        /// What was asked for.
        name: String,
    },
    /// No setting has that key.
    #[error(transparent)]
    UnknownSetting(#[from] setting::Unknown),
    /// Another one has that name.
    #[error("there is a {kind} `{name}` already")]
    NameTaken {
        /// What kind of resource.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// A task works on it.
    #[error("a task works on the {kind} `{name}`: {action}")]
    Busy {
        /// What kind of resource.
        kind: Kind,
        /// Its name.
        name: String,
        /// What the task does.
        action: Action,
        /// Which task.
        task: Id,
    },
    /// Something else needs it.
    #[error("the {kind} `{name}` is in use: {by}")]
    InUse {
        /// What kind of resource.
        kind: Kind,
        /// Its name.
        name: String,
        /// What needs it.
        by: String,
    },
    /// It cannot be done as things stand.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
        /// What to do.
        next: String,
    },
    /// What is described makes no sense.
    #[error("{message}")]
    Invalid {
        /// What does not.
        message: String,
        /// What does.
        next: String,
    },
    /// A host shows no key for the packed file, or a wrong one.
    #[error("there is no file for this token")]
    NoFile,
    /// A mode that may lose disks is asked for, and whoever asks does not accept that.
    #[error(
        "with cache mode `unsafe` a crash of the host loses what is on the disks, and nobody accepted that"
    )]
    LossNotAccepted,
    /// The idempotency key belongs to another request.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The agent does not answer, or refuses.
    #[error("{cause}")]
    Agent {
        /// How people call the host.
        host: String,
        /// What went wrong.
        cause: AgentError,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server lacks what every server has.
    #[error("{0}")]
    Broken(String),
}

impl CloudError {
    /// A refusal of what makes no sense.
    pub fn invalid(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), next: next.into() }
    }

    /// A refusal of what cannot be done as things stand.
    pub fn conflict(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), next: next.into() }
    }

    /// As the public hears it.
    #[must_use]
    pub fn reply(&self) -> ErrorReply {
        let reply = |code, next: String| ErrorReply {
            code,
            message: self.to_string(),
            cause: None,
            next: Some(next),
        };
        match self {
            Self::NotFound { kind, .. } => {
                reply(ErrorCode::NotFound, format!("list what there is: `cairn {} list`", command(*kind)))
            }
            Self::UnknownSetting(unknown) => {
                let list = "list what there is: `cairn config list`";
                let meant = unknown.nearest.map(|key| format!("did you mean `{key}`? If not, {list}"));
                reply(ErrorCode::NotFound, meant.unwrap_or(list.to_owned()))
            }
            Self::NameTaken { .. } => reply(ErrorCode::NameTaken, "choose another name".to_owned()),
            Self::Busy { task, .. } => {
                reply(ErrorCode::Busy, format!("wait for it or cancel it: `cairn task cancel {task}`"))
            }
            Self::InUse { .. } => reply(ErrorCode::InUse, "remove what needs it first".to_owned()),
            Self::Conflict { next, .. } => reply(ErrorCode::Conflict, next.clone()),
            Self::Invalid { next, .. } => reply(ErrorCode::Invalid, next.clone()),
            Self::NoFile => reply(
                ErrorCode::BadToken,
                "it was used, has ended, or is for a file of before; make a new one with `cairn host add`"
                    .to_owned(),
            ),
            Self::LossNotAccepted => reply(
                ErrorCode::LossNotAccepted,
                "choose `writeback`, which is as fast until a guest flushes, or accept the loss: `--accept-loss`, \
                 `\"accepts_loss\": true` in the API"
                    .to_owned(),
            ),
            Self::KeyReused => reply(ErrorCode::KeyReused, "choose a new key for a new request".to_owned()),
            Self::Agent { host, cause } => cause.reply(host),
            Self::Store(_) | Self::Broken(_) => ErrorReply {
                code: ErrorCode::Internal,
                message: "the server cannot do that now".to_owned(),
                cause: Some(self.to_string()),
                next: Some("look into the server's log and try again".to_owned()),
            },
        }
    }
}

/// The word of the command line for a kind of resource.
fn command(kind: Kind) -> &'static str {
    match kind {
        Kind::Host => "host",
        Kind::Storage => "storage",
        Kind::Image => "image",
        Kind::Volume => "volume",
        Kind::Vm => "vm",
        Kind::Task => "task",
        Kind::Setting => "config",
        Kind::Token => "token",
    }
}
