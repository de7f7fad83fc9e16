//! The keys of `agent.toml`. The file that is installed, `agent/agent.toml`, documents them; a test holds the two
//! together.

use std::net::{Ipv6Addr, SocketAddr};

use packaging_service::config::Settings;
use serde::{Deserialize, Serialize};

/// What the operator decides before the agent starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server reaches this agent.
    pub listen: SocketAddr,
    /// What runs virtual machines.
    pub hypervisor: HypervisorName,
}

/// What can run virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HypervisorName {
    /// libvirt and QEMU.
    Libvirt,
    /// Nothing: they are simulated, and gone when the agent stops.
    Simulated,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 7070)), hypervisor: HypervisorName::Libvirt }
    }
}

impl Settings for Config {
    const KEYS: &'static [&'static str] = &["listen", "hypervisor"];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_installed_file_shows_every_key_with_its_default() {
        let text = include_str!("../agent.toml");
        let path = Path::new("agent.toml");
        assert_eq!(packaging_service::config::parse::<Config>(text, path).unwrap(), Config::default());

        let shown: String = text
            .lines()
            .filter_map(|line| line.strip_prefix('#')?.split_once(" = ").map(|_| &line[1..]))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(packaging_service::config::parse::<Config>(&shown, path).unwrap(), Config::default());
        let shown: toml::Table = toml::from_str(&shown).unwrap();
        let mut keys = Config::KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(shown.keys().collect::<Vec<_>>(), keys);
    }
}
