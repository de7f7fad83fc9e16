//! A new certificate before the present one ends. The server asks for a signing request, signs it, and brings what came of
//! it, all over the channel that it has; the next connection sees the new one. The key is made here and never leaves.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use agent_hypervisor::Attempt;
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::{RenewRequest, SigningReply};
use agent_protocol::vm::Done;
use packaging_service::layout::Layout;
use packaging_service::tls::pinned::{self, PinnedAuthority};
use packaging_service::tls::shown::Shown;
use packaging_service::tls::{self, certificate};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::join::{place, signing_request};
use crate::link::IDENTITY;
use crate::refusal::Refusal;

/// What is under way.
#[derive(Debug, Default)]
pub struct Renewal {
    /// The key that a signing request was made for last. One that is lost is made anew.
    pending: Mutex<Option<KeyPair>>,
    /// What the agent shows.
    shown: OnceLock<Arc<Shown>>,
}

impl Renewal {
    /// Notes what shows the certificate.
    pub fn shows(&self, shown: Arc<Shown>) {
        // Set once: an agent that serves, serves until it stops.
        let _ = self.shown.set(shown);
    }

    /// Makes a key, and a signing request for it.
    ///
    /// # Errors
    /// If there is no key to be had.
    pub fn signing_request(&self) -> Result<SigningReply, Refusal> {
        let failed = |error: rcgen::Error| {
            broken(&format!("cannot make a key: {error}; see that `/dev/urandom` is there"))
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let signing_request = signing_request(&key).map_err(failed)?;
        *self.pending() = Some(key);
        Ok(SigningReply { signing_request })
    }

    /// Takes the certificate that came of it, if it holds for this host, and shows it from now on. One that an earlier attempt put
    /// into its place, whose agent was killed before it could say so, is taken.
    ///
    /// # Errors
    /// If it does not hold, or cannot be written. The key is good for another try.
    pub fn renew(&self, layout: &Layout, request: RenewRequest, attempt: Attempt) -> Result<Done, Refusal> {
        let folder = place::wait(layout).map_err(|error| broken(&error))?;
        if attempt == Attempt::Again && is_in_place(layout, &request.certificate) {
            return self.show(layout);
        }
        let key = self.pending().as_ref().map(KeyPair::serialize_pem).ok_or_else(|| {
            let message =
                "this agent asked for no certificate, or was restarted since; ask for its signing request";
            Refusal::new(FailureCode::Conflict, message)
        })?;
        holds(layout, &request.certificate, &key)?;
        let pair = place::pair(layout, key.clone(), request.certificate);
        folder.put(pair.into()).map_err(|error| broken(&error))?;
        let done = self.show(layout)?;
        // Unless there is another by now.
        self.pending().take_if(|pending| pending.serialize_pem() == key);
        Ok(done)
    }

    /// Shows what lies in its place.
    fn show(&self, layout: &Layout) -> Result<Done, Refusal> {
        let identity = tls::identity(layout, IDENTITY).map_err(|error| broken(&error))?;
        if let Some(shown) = self.shown.get() {
            shown.show(identity).map_err(|error| broken(&error))?;
        }
        tracing::info!("the certificate was renewed");
        Ok(Done {})
    }

    fn pending(&self) -> MutexGuard<'_, Option<KeyPair>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn present(layout: &Layout) -> PathBuf {
    layout.tls(&format!("{IDENTITY}.pem"))
}

fn is_in_place(layout: &Layout, certificate: &str) -> bool {
    std::fs::read_to_string(present(layout)).is_ok_and(|present| present == certificate)
}

/// Sees that the authority that this host trusts gave it for all names that the present one is for.
fn holds(layout: &Layout, certificate: &str, key: &str) -> Result<(), Refusal> {
    let authority = layout.tls("ca.pem");
    let trusted = tls::certificates(&authority).map_err(|error| broken(&error))?;
    let present = present(layout);
    let shown = tls::certificates(&present).map_err(|error| broken(&error))?;
    let unusable = |path: &Path, cause: &dyn Display| {
        broken(&format!("cannot use `{}`: {cause}; restore it, or join this host again", path.display()))
    };
    let facts = certificate::facts(&shown[0]).map_err(|error| unusable(&present, &error))?;
    if facts.names.is_empty() {
        return Err(unusable(&present, &"it is for no name"));
    }
    let text = std::fs::read_to_string(&authority).map_err(|error| unusable(&authority, &error))?;
    let authority = PinnedAuthority::new(pinned::digest(&trusted[0]));
    facts.names.iter().try_for_each(|name| authority.vouches_for(&text, certificate, key, name)).map_err(
        |cause| {
            let message = format!("the new certificate cannot be used: {cause}; ask for its signing request");
            Refusal::new(FailureCode::Invalid, message)
        },
    )
}

/// `cause` ends with what to do.
fn broken(cause: &dyn Display) -> Refusal {
    Refusal::new(FailureCode::Internal, cause.to_string())
}
