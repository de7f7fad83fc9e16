//! The link to the server: whether this agent has been joined, and where it serves.
//!
//! ```text
//!   Starting --+--> Waiting <--> Broken
//!              |       |           |
//!              +-------+-----------+--> Serving
//! ```
//!
//! An agent without certificates waits for them with its port closed; one whose certificates cannot be used says so
//! and waits for better ones. Once it serves, it serves until it stops.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use packaging_service::layout::Layout;
use packaging_service::tls::shown::Shown;
use packaging_service::tls::{self, TlsError};
use packaging_service::together::Together;
use rustls::ServerConfig;

/// Base name of the agent's certificate and key.
pub const IDENTITY: &str = "agent";

/// Where the link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is known yet.
    Starting,
    /// There are no certificates.
    Waiting {
        /// The files that are missing.
        why: String,
    },
    /// There are certificates, and they cannot be used.
    Broken {
        /// The complaint.
        why: String,
    },
    /// The port is open.
    Serving {
        /// Where.
        address: SocketAddr,
    },
}

/// True if this host holds the agent's certificate, its key and the authority.
#[must_use]
pub fn is_joined(layout: &Layout) -> bool {
    [format!("{IDENTITY}.pem"), format!("{IDENTITY}.key"), "ca.pem".to_owned()]
        .iter()
        .all(|name| layout.tls(name).exists())
}

/// Loads the certificates, with what shows them, or says how the link stands without them.
///
/// # Errors
/// [`State::Waiting`] or [`State::Broken`].
pub fn certificates(layout: &Layout) -> Result<(Arc<Shown>, Arc<ServerConfig>), State> {
    let changing = || State::Waiting { why: "the certificates are being written".to_owned() };
    // Held until they are loaded. A folder that is not there yet is no reason to complain.
    let _locked = match Together::now(&layout.tls_folder()) {
        Ok(locked) => Some(locked.ok_or_else(changing)?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let why = format!("`{}` cannot be used: {error}", layout.tls_folder().display());
            return Err(State::Broken { why });
        }
    };
    let (certificate, key) = (layout.tls(&format!("{IDENTITY}.pem")), layout.tls(&format!("{IDENTITY}.key")));
    if !certificate.exists() && !key.exists() {
        let why = format!("neither `{}` nor `{}` is there", certificate.display(), key.display());
        return Err(State::Waiting { why });
    }
    load(layout).map_err(|error| State::Broken { why: error.to_string() })
}

fn load(layout: &Layout) -> Result<(Arc<Shown>, Arc<ServerConfig>), TlsError> {
    let (shown, authority) = (tls::identity(layout, IDENTITY)?.shown()?, tls::authority(layout)?);
    let config = tls::private_server(layout, shown.clone(), authority, agent_protocol::SERVER_NAME)?;
    Ok((shown, config))
}
