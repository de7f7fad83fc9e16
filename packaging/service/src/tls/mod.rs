//! Certificates and keys: loading them from files, and the configurations of rustls that come of them. Whom an agent
//! lets in is in [`peer`], whom a host trusts that joins in [`pinned`], what a certificate says in [`certificate`], how it
//! gives way to a renewed one in [`shown`], what operators read of those who do not agree in [`refused`]. Issuing them is the server's alone.

pub mod certificate;
pub mod lifetime;
pub mod peer;
pub mod pinned;
pub mod refused;
pub mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

use crate::layout::Layout;
use shown::Shown;

/// A certificate chain and its key, as two files with one name.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: PathBuf,
}

impl Identity {
    /// To be shown by a service.
    ///
    /// # Errors
    /// [`TlsError::Pair`] if certificate and key do not go together.
    pub fn shown(self) -> Result<Arc<Shown>, TlsError> {
        Shown::new(self)
    }

    /// With `authority` shown behind the chain, so that a peer that knows only its digest can verify the chain.
    #[must_use]
    pub fn with_authority(mut self, authority: Vec<CertificateDer<'static>>) -> Self {
        for certificate in authority {
            if !self.chain.contains(&certificate) {
                self.chain.push(certificate);
            }
        }
        self
    }
}

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing or is not what its name says.
    #[error("cannot use `{path}`: {cause}; restore it, or run `{remedy}` if this host was never set up")]
    File {
        /// The file.
        path: PathBuf,
        /// The complaint.
        cause: String,
        /// The command that makes certificates.
        remedy: &'static str,
    },
    /// Certificate and key do not go together, or the library refuses them.
    #[error("cannot use `{path}` with its key: {cause}; restore the pair from a backup")]
    Pair {
        /// The certificate.
        path: PathBuf,
        /// The complaint.
        cause: rustls::Error,
    },
    /// The authority cannot be used to verify others.
    #[error("cannot verify others with `{path}`: {cause}; restore it from a backup")]
    Authority {
        /// The authority's certificate.
        path: PathBuf,
        /// The complaint.
        cause: String,
    },
}

/// What makes certificates.
const BOOTSTRAP: &str = "cairn-server bootstrap";

/// Makes ring the provider of the process. To be called first; a second call changes nothing.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Loads `NAME.pem` and `NAME.key`.
///
/// # Errors
/// [`TlsError::File`].
pub fn identity(layout: &Layout, name: &str) -> Result<Identity, TlsError> {
    let path = layout.tls(&format!("{name}.pem"));
    let key = layout.tls(&format!("{name}.key"));
    Ok(Identity {
        chain: certificates(&path)?,
        key: PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(&key, error))?,
        path,
    })
}

/// Loads the authority that this host trusts, `ca.pem`.
///
/// # Errors
/// [`TlsError::File`], or [`TlsError::Authority`] if it is no certificate.
pub fn authority(layout: &Layout) -> Result<Arc<RootCertStore>, TlsError> {
    let path = layout.tls("ca.pem");
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&path)? {
        roots
            .add(certificate)
            .map_err(|cause| TlsError::Authority { path: path.clone(), cause: cause.to_string() })?;
    }
    Ok(Arc::new(roots))
}

/// Reads the certificates in the file at `path`; at least one.
///
/// # Errors
/// [`TlsError::File`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, error))?;
    if chain.is_empty() {
        return Err(unusable(path, rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn unusable(path: &Path, error: rustls::pki_types::pem::Error) -> TlsError {
    let cause = match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => "it holds no PEM block of that kind".to_owned(),
        other => other.to_string(),
    };
    TlsError::File { path: path.to_owned(), cause, remedy: BOOTSTRAP }
}

/// A server that lets everybody in and proves who it is.
#[must_use]
pub fn public_server(shown: Arc<Shown>) -> Arc<ServerConfig> {
    let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown);
    Arc::new(http1(config))
}

/// A server that only talks to holders of a certificate from `roots` with the common name `peer`, made for clients.
///
/// # Errors
/// [`TlsError::Authority`] if the authority, which is in the file `ca.pem` of `layout`, cannot verify anybody.
pub fn private_server(
    layout: &Layout,
    shown: Arc<Shown>,
    roots: Arc<RootCertStore>,
    peer: &'static str,
) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = peer::NamedPeer::new(roots, peer)
        .map_err(|cause| TlsError::Authority { path: layout.tls("ca.pem"), cause })?;
    let config =
        ServerConfig::builder().with_client_cert_verifier(Arc::new(verifier)).with_cert_resolver(shown);
    Ok(Arc::new(http1(config)))
}

fn http1(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// A client that verifies servers with `roots` and shows no certificate.
#[must_use]
pub fn anonymous_client(roots: Arc<RootCertStore>) -> Arc<ClientConfig> {
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// A client that verifies servers with `roots` and proves who it is.
#[must_use]
pub fn named_client(shown: Arc<Shown>, roots: Arc<RootCertStore>) -> Arc<ClientConfig> {
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_client_cert_resolver(shown))
}
