//! Why the server ends without having done what was asked, and with which exit code.

use packaging_service::config::ConfigError;
use packaging_service::exit::Exit;
use packaging_service::files::CreateError;
use packaging_service::listen::ListenError;
use packaging_service::tls::TlsError;
use thiserror::Error;

use crate::bootstrap::BootstrapError;
use crate::bootstrap::password::PasswordError;
use crate::login::credential::CredentialError;
use crate::store::StoreError;

/// Every way to fail. Each says what to do.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line names no command.
    #[error(
        "no command given; use one of `run`, `bootstrap`, `health`, `inspect`, `migrate`, `backup`, or `--help`"
    )]
    NoCommand,
    /// The log filter is not one.
    #[error("{0}")]
    Log(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The password given cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The administrator's credential cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// This host cannot be set up.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A file or folder cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The door does not open.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refuses what every process has.
    #[error("cannot go on: {0}; free memory, file descriptors or processes on this host and try again")]
    System(#[from] std::io::Error),
}

impl Error {
    /// The code that the process ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoCommand | Self::Log(_) | Self::Config(_) | Self::Password(_) => Exit::Usage,
            Self::Store(StoreError::Taken { .. }) => Exit::Locked,
            Self::Credential(_)
            | Self::Bootstrap(_)
            | Self::Create(_)
            | Self::Listen(_)
            | Self::Tls(_)
            | Self::Store(_)
            | Self::System(_) => Exit::Failed,
        }
    }
}
