//! What is there and what is missing. Reads names of files and nothing else.

use std::path::PathBuf;

use packaging_service::layout::Layout;

use super::BootstrapError;
use super::issue::Purpose;
use crate::cli::Role;

/// A certificate with its key, as two files of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// What signs all others.
    Authority,
    /// What the server shows to browsers.
    Server,
    /// What the server shows to agents.
    ServerClient,
    /// What the agent shows to the server.
    Agent,
}

/// The work of one bootstrap.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// To be made, the authority first.
    pub missing: Vec<Identity>,
    /// There already.
    pub kept: Vec<Identity>,
}

impl Identity {
    const ALL: [Self; 4] = [Self::Authority, Self::Server, Self::ServerClient, Self::Agent];

    /// The base name of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authority => "ca",
            Self::Server => "server",
            Self::ServerClient => crate::agents::IDENTITY,
            Self::Agent => "agent",
        }
    }

    /// Its common name, and what it is for; none for the authority, which nobody signs.
    pub fn subject(self) -> Option<(&'static str, Purpose)> {
        match self {
            Self::Authority => None,
            Self::Server => Some(("cairn-server", Purpose::Server)),
            Self::ServerClient => Some((agent_protocol::SERVER_NAME, Purpose::Client)),
            Self::Agent => Some(("cairn-agent", Purpose::Server)),
        }
    }

    /// Key and certificate.
    pub fn files(self, layout: &Layout) -> [PathBuf; 2] {
        let name = self.name();
        [layout.tls(&format!("{name}.key")), layout.tls(&format!("{name}.pem"))]
    }

    fn is_for(self, role: Role) -> bool {
        match (role, self) {
            (Role::Server, Self::Agent) => false,
            (Role::All, Self::Agent) => true,
            (Role::All | Role::Server, Self::Authority | Self::Server | Self::ServerClient) => true,
        }
    }

    /// Whether both files are there.
    fn exists(self, layout: &Layout) -> Result<bool, BootstrapError> {
        let [key, certificate] = self.files(layout);
        match (key.exists(), certificate.exists()) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(BootstrapError::HalfMade { there: key, missing: certificate }),
            (false, true) => Err(BootstrapError::HalfMade { there: certificate, missing: key }),
        }
    }
}

impl Plan {
    /// Looks at the files of a host that is to run `role`.
    ///
    /// # Errors
    /// If the host is half set up.
    pub fn make(layout: &Layout, role: Role) -> Result<Self, BootstrapError> {
        let (mut missing, mut kept) = (Vec::new(), Vec::new());
        for identity in Identity::ALL {
            let exists = identity.exists(layout)?;
            if exists && missing.contains(&Identity::Authority) {
                let ([_, leaf], [_, authority]) = (identity.files(layout), Identity::Authority.files(layout));
                return Err(BootstrapError::LostAuthority { leaf, authority });
            }
            match exists {
                true => kept.push(identity),
                false if identity.is_for(role) => missing.push(identity),
                false => {}
            }
        }
        Ok(Self { missing, kept })
    }
}
