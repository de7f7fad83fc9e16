//! What a host is for. The role decides which sections are unpacked, which services run and what preflight asks for.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The role of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Server and agent on one host.
    All,
    /// The management server with the dashboard.
    Server,
    /// The agent that runs virtual machines.
    Agent,
}

impl Role {
    /// Whether the management server runs here.
    pub fn server(self) -> bool {
        matches!(self, Self::All | Self::Server)
    }

    /// Whether the agent runs here.
    pub fn agent(self) -> bool {
        matches!(self, Self::All | Self::Agent)
    }

    /// The role as the manifest of an archive spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_spelt_alike_everywhere() {
        for role in Role::value_variants() {
            assert_eq!(serde_json::to_string(role).unwrap(), format!("\"{role}\""));
            assert_eq!(role.to_possible_value().unwrap().get_name(), role.as_str());
        }
    }
}
