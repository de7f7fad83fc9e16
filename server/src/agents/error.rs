//! Why a call to an agent has no answer, or not the one that was hoped for.

use std::net::SocketAddr;
use std::time::Duration;

use agent_protocol::VERSION;
use agent_protocol::envelope::{Failure, FailureCode};
use packaging_service::client::ClientError;
use server_api::error::{ErrorCode, ErrorReply};
use thiserror::Error;

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum AgentError {
    /// This host was set up without one.
    #[error("this host has no agent")]
    None,
    /// What is stored as its address is none.
    #[error("`{address}` is no address of an agent")]
    NoAddress {
        /// What is stored.
        address: String,
    },
    /// It cannot be reached, or does not prove who it is.
    #[error("the agent at `{address}` does not answer: {cause}{told}", told = cause.remedy().map_or(String::new(), |remedy| format!("; {remedy}")))]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// What went wrong.
        cause: ClientError,
    },
    /// It takes too long.
    #[error("the agent at `{address}` does not answer within {} ms", limit.as_millis())]
    Slow {
        /// Where it is.
        address: SocketAddr,
        /// How long it had.
        limit: Duration,
    },
    /// It speaks another version of the protocol, and did nothing.
    #[error("the agent at `{address}` speaks version {theirs} of the protocol, this server version {VERSION}; {}", upgrade(*theirs))]
    Version {
        /// Where it is.
        address: SocketAddr,
        /// Its version.
        theirs: u32,
    },
    /// It answers that it did not do it.
    #[error("the agent at `{address}` refuses `{call}`: {}", failure.message)]
    Refused {
        /// Where it is.
        address: SocketAddr,
        /// The call.
        call: &'static str,
        /// Its answer.
        failure: Failure,
    },
    /// It answers with something else.
    #[error("the agent at `{address}` answers `{call}` with something else: {cause}")]
    Strange {
        /// Where it is.
        address: SocketAddr,
        /// The call.
        call: &'static str,
        /// The complaint.
        cause: String,
    },
}

impl AgentError {
    /// True if the same order may be sent again later, and be answered then.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => true,
            Self::Refused { failure, .. } => {
                [FailureCode::Unavailable, FailureCode::Interrupted].contains(&failure.code)
            }
            Self::None | Self::NoAddress { .. } | Self::Version { .. } | Self::Strange { .. } => false,
        }
    }

    /// True if the agent was asked and has not answered yet.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Slow { .. })
    }

    /// What the agent said, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<FailureCode> {
        match self {
            Self::Refused { failure, .. } => Some(failure.code),
            Self::None
            | Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Version { .. }
            | Self::Strange { .. } => None,
        }
    }

    /// As the public hears it. `host` is how people call the host.
    #[must_use]
    pub fn reply(&self, host: &str) -> ErrorReply {
        let reply = |code, message: String, next: &str| ErrorReply {
            code,
            message,
            cause: Some(self.to_string()),
            next: Some(next.to_owned()),
        };
        match self {
            Self::None => ErrorReply {
                code: ErrorCode::NoAgent,
                message: self.to_string(),
                cause: None,
                next: Some("run `cairn-server bootstrap --role all` and start the agent".to_owned()),
            },
            Self::Unreachable { cause, .. } if cause.remedy().is_some() => ErrorReply {
                code: ErrorCode::AgentUnreachable,
                message: format!("{host} and this server do not agree on certificates"),
                cause: Some(cause.to_string()),
                next: cause.remedy().map(str::to_owned),
            },
            Self::Unreachable { .. } | Self::Slow { .. } | Self::NoAddress { .. } => reply(
                ErrorCode::AgentUnreachable,
                format!("the agent of {host} does not answer"),
                &format!("run `cairn-agent health` on {host}"),
            ),
            Self::Version { theirs, .. } => reply(
                ErrorCode::AgentUnreachable,
                format!("the agent of {host} and this server speak different versions of the protocol"),
                upgrade(*theirs),
            ),
            Self::Strange { .. } => reply(
                ErrorCode::AgentUnreachable,
                format!("the agent of {host} does not answer as it should"),
                "see that server and agent are of the same version",
            ),
            Self::Refused { failure, call, .. } => match refused(failure.code) {
                // The agent's sentence says what went wrong; its second half, what to do.
                Some(code) => {
                    let (message, next) = match failure.message.split_once("; ") {
                        Some((message, next)) => (message.to_owned(), Some(next.to_owned())),
                        None => (failure.message.clone(), None),
                    };
                    ErrorReply { code, message, cause: Some(format!("{host} refused `{call}`")), next }
                }
                None => reply(
                    ErrorCode::AgentUnreachable,
                    format!("the agent of {host} does not answer as it should"),
                    "see that server and agent are of the same version",
                ),
            },
        }
    }
}

/// What to do about an agent that speaks version `theirs`.
fn upgrade(theirs: u32) -> &'static str {
    if theirs < VERSION {
        "upgrade its host: run the installer of this server's release there"
    } else {
        "upgrade this server: its agent is of a newer release"
    }
}

/// What a refusal is to the public; none if server and agent misunderstand each other.
fn refused(code: FailureCode) -> Option<ErrorCode> {
    Some(match code {
        FailureCode::Protocol
        | FailureCode::Request
        | FailureCode::UnknownCall
        | FailureCode::OperationReused => return None,
        FailureCode::NotFound => ErrorCode::NotFound,
        FailureCode::Exists | FailureCode::Conflict => ErrorCode::Conflict,
        FailureCode::Invalid => ErrorCode::Invalid,
        FailureCode::Unsupported => ErrorCode::Unsupported,
        FailureCode::DirectIo => ErrorCode::DirectIo,
        FailureCode::LossNotAccepted => ErrorCode::LossNotAccepted,
        FailureCode::GuestSilent => ErrorCode::GuestSilent,
        FailureCode::NoSpace => ErrorCode::NoSpace,
        FailureCode::Unavailable | FailureCode::Interrupted => ErrorCode::AgentUnreachable,
        FailureCode::Failed | FailureCode::Internal => ErrorCode::HostFailed,
    })
}
