//! The certificate that a service shows, which can be another from one connection to the next: a renewed one is shown
//! without a restart, and connections that are open go on.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Identity, TlsError};

/// What is shown from now on.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// Shows `identity` until there is another.
    ///
    /// # Errors
    /// [`TlsError::Pair`] if certificate and key do not go together.
    pub fn new(identity: Identity) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(RwLock::new(certified(identity)?))))
    }

    /// Shows `identity` from the next connection on.
    ///
    /// # Errors
    /// As [`Shown::new`]; the former one is shown then.
    pub fn show(&self, identity: Identity) -> Result<(), TlsError> {
        let certified = certified(identity)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    fn now(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(identity: Identity) -> Result<Arc<CertifiedKey>, TlsError> {
    let Identity { chain, key, path } = identity;
    let provider = rustls::crypto::ring::default_provider();
    let certified = provider.key_provider.load_private_key(key).and_then(|key| {
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match()?;
        Ok(certified)
    });
    certified.map(Arc::new).map_err(|cause| TlsError::Pair { path, cause })
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
