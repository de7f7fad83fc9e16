//! The keys of `server.toml`. The file that is installed, `server/server.toml`, documents them; a test holds the two
//! together.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use packaging_service::config::Settings;
use serde::{Deserialize, Serialize};

/// What the operator decides before the server starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where dashboard and API are served.
    pub listen: SocketAddr,
    /// Folder of the dashboard; empty for the one that was installed.
    pub dashboard: PathBuf,
    /// Where the agent of this host listens.
    pub local_agent: SocketAddr,
    /// Hours after which a login ends by itself.
    pub session_hours: NonZeroU32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8443)),
            dashboard: PathBuf::new(),
            local_agent: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            session_hours: NonZeroU32::MIN.saturating_add(11),
        }
    }
}

impl Settings for Config {
    const KEYS: &'static [&'static str] = &["listen", "dashboard", "local_agent", "session_hours"];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_installed_file_shows_every_key_with_its_default() {
        let text = include_str!("../server.toml");
        let path = Path::new("server.toml");
        assert_eq!(packaging_service::config::parse::<Config>(text, path).unwrap(), Config::default());

        let shown: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| line.contains(" = ")))
            .collect();
        let shown = shown.join("\n");
        assert_eq!(packaging_service::config::parse::<Config>(&shown, path).unwrap(), Config::default());
        let keys: Vec<_> = shown.lines().filter_map(|line| line.split(" = ").next()).collect();
        assert_eq!(keys, Config::KEYS);
    }

    #[test]
    fn keys_are_the_fields() {
        let fields = toml::Table::try_from(Config::default()).unwrap();
        let mut keys = Config::KEYS.to_vec();
        keys.sort_unstable();
        let mut fields: Vec<_> = fields.keys().cloned().collect();
        fields.sort_unstable();
        assert_eq!(fields, keys);
    }
}
