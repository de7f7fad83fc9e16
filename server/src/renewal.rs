//! The server's own certificates, renewed before they end: the one that browsers see, and the one that agents see. Each is
//! made anew for the names that it has, put in its place, and shown from the next connection on; nobody has to come in again.
//! Those of agents are renewed over the channel to them, in `agents/renewal`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packaging_service::files::{Access, NewFile};
use packaging_service::layout::Layout;
use packaging_service::stop::Stop;
use packaging_service::tls::shown::Shown;
use packaging_service::tls::{self, certificate};
use packaging_service::together::Together;

use crate::bootstrap::plan::Identity;
use crate::bootstrap::{self, issue, names::Address};
use crate::error::Error;

/// How often certificates are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// Those that this server shows, and where.
#[derive(Debug)]
pub struct Renewal {
    layout: Layout,
    shown: [(Identity, Arc<Shown>); 2],
}

impl Renewal {
    /// Renews what `page` shows to browsers and `agents` to agents.
    #[must_use]
    pub fn new(layout: &Layout, page: Arc<Shown>, agents: Arc<Shown>) -> Self {
        Self { layout: layout.clone(), shown: [(Identity::Server, page), (Identity::ServerClient, agents)] }
    }

    /// Renews what wants it at `now`, and shows it. True if there was anything.
    ///
    /// # Errors
    /// If a certificate cannot be made or written; what was shown is shown on.
    pub fn look(&self, now: SystemTime) -> Result<bool, Error> {
        let renewed = renew(&self.layout, now)?;
        for (identity, shown) in &self.shown {
            if renewed.contains(identity) {
                shown.show(load(&self.layout, *identity)?)?;
            }
        }
        Ok(!renewed.is_empty())
    }

    /// Looks from time to time, until `stop`.
    pub async fn keep(self: Arc<Self>, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.ordered() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let renewal = self.clone();
            match tokio::task::spawn_blocking(move || renewal.look(SystemTime::now())).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("cannot renew a certificate: {error}"),
                Err(error) => tracing::error!("cannot renew a certificate: {error}"),
            }
        }
    }
}

/// What is shown as `identity`. What browsers see comes with its authority: a host that joins knows nothing but the digest of
/// that.
///
/// # Errors
/// If a file cannot be used.
pub(crate) fn load(layout: &Layout, identity: Identity) -> Result<tls::Identity, Error> {
    let loaded = tls::identity(layout, identity.name())?;
    match identity {
        Identity::Server => Ok(loaded.with_authority(tls::certificates(&layout.tls("ca.pem"))?)),
        Identity::Authority | Identity::ServerClient | Identity::Agent => Ok(loaded),
    }
}

/// Finishes what was begun before a kill, and renews the certificates of the server that want it at `now`. Which.
///
/// # Errors
/// If a certificate cannot be made or written.
pub(crate) fn renew(layout: &Layout, now: SystemTime) -> Result<Vec<Identity>, Error> {
    let folder = Together::wait(&layout.tls_folder())?;
    let (mut renewed, mut files) = (Vec::new(), Vec::new());
    for identity in [Identity::Server, Identity::ServerClient] {
        let [key, path] = identity.files(layout);
        let present = tls::certificates(&path)?;
        let facts = certificate::facts(&present[0]).map_err(|cause| tls::TlsError::File {
            path: path.clone(),
            cause,
            remedy: "cairn-server bootstrap",
        })?;
        let (Some((common_name, purpose)), true) = (identity.subject(), facts.wants_renewal(now)) else {
            continue;
        };
        let names: Vec<Address> = facts.names.iter().filter_map(|name| name.parse().ok()).collect();
        let authority = bootstrap::authority(layout)?;
        let made = issue::leaf(&authority, common_name, purpose, &names)
            .map_err(bootstrap::BootstrapError::Issue)?;
        files.push(NewFile { path: key, content: made.key, access: Access::Private });
        files.push(NewFile { path, content: made.certificate, access: Access::Public });
        renewed.push(identity);
    }
    folder.put(files)?;
    for identity in &renewed {
        tracing::info!("`{}.pem` was renewed", identity.name());
    }
    Ok(renewed)
}
