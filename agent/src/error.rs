//! Why the agent ends without having done what was asked, and with which exit code.

use packaging_service::config::ConfigError;
use packaging_service::exit::Exit;
use packaging_service::files::CreateError;
use packaging_service::listen::ListenError;
use packaging_service::tls::TlsError;
use thiserror::Error;

use crate::join::error::JoinError;

/// Every way to fail. Each says what to do.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line names no command.
    #[error("no command given; use one of `run`, `bootstrap`, `join`, `health`, `inspect`, or `--help`")]
    NoCommand,
    /// The log filter is not one.
    #[error("{0}")]
    Log(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// A door does not open.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It did not join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The system refuses what every process has.
    #[error("cannot go on: {0}; free memory, file descriptors or processes on this host and try again")]
    System(#[from] std::io::Error),
}

impl Error {
    /// The code that the process ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoCommand | Self::Log(_) | Self::Config(_) => Exit::Usage,
            Self::Join(error) => error.exit(),
            Self::Create(_) | Self::Listen(_) | Self::Tls(_) | Self::System(_) => Exit::Failed,
        }
    }
}
