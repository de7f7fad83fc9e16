//! A new certificate before the present one ends. The server asks for a signing request, signs it, and brings what came of
//! it, all over the channel that it has; the next connection sees the new one. The key is made here and never leaves.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(SigningReply { signing_request })
    }

    /// Takes the certificate that came of it, if it holds for this host, and shows it from now on.
    ///
    /// # Errors
    /// If it does not hold, or cannot be written.
    pub fn renew(&self, layout: &Layout, request: RenewRequest) -> Result<Done, Refusal> {
        let key = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let key = key.ok_or_else(|| {
            let message =
                "this agent asked for no certificate, or was restarted since; ask for its signing request";
            Refusal::new(FailureCode::Conflict, message)
        })?;
        let key = key.serialize_pem();
        let folder = place::wait(layout).map_err(|error| broken(&error))?;
        self.holds(layout, &request.certificate, &key)?;
        folder.put(place::pair(layout, key, request.certificate).into()).map_err(|error| broken(&error))?;
        let identity = tls::identity(layout, IDENTITY).map_err(|error| broken(&error))?;
        if let Some(shown) = self.shown.get() {
            shown.show(identity).map_err(|error| broken(&error))?;
        }
        tracing::info!("the certificate was renewed");
        Ok(Done {})
    }

    /// Sees that the authority that this host trusts gave it for what the present one is for.
    fn holds(&self, layout: &Layout, certificate: &str, key: &str) -> Result<(), Refusal> {
        let authority = layout.tls("ca.pem");
        let trusted = tls::certificates(&authority).map_err(|error| broken(&error))?;
        let present =
            tls::certificates(&layout.tls(&format!("{IDENTITY}.pem"))).map_err(|error| broken(&error))?;
        let facts = certificate::facts(&present[0]).map_err(|error| broken(&error))?;
        let name = facts.names.first().cloned().unwrap_or_default();
        let text = std::fs::read_to_string(&authority).map_err(|error| broken(&error))?;
        PinnedAuthority::new(pinned::digest(&trusted[0])).vouches_for(&text, certificate, key, &name).map_err(
            |cause| {
                let message =
                    format!("the new certificate cannot be used: {cause}; ask for its signing request");
                Refusal::new(FailureCode::Invalid, message)
            },
        )
    }
}

fn broken(cause: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(FailureCode::Internal, cause.to_string())
}
