//! The first meeting with a server whose authority is known by its SHA-256 only: the server shows its authority
//! behind its certificate, and what has the right digest is kept. Nothing is sent before that, and every later
//! connection verifies the whole chain with what was kept.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::exit::Failure;

const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at what a server shows, and refuses the connection once it is seen: it is good for nothing else.
#[derive(Debug, Default)]
struct Look {
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        first: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(first).chain(more).map(|shown| shown.clone().into_owned());
        *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = all.collect();
        Err(Error::General("seen".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("not to be used".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("not to be used".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificates that the server at `host` and `port` shows, its own first. Nothing is proved by them.
pub fn shown(host: &str, port: u16) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failed = |cause: &dyn std::fmt::Display| {
        Failure::NoServer(format!(
            "cannot reach `{host}` at port {port}: {cause}; see that the server runs there"
        ))
    };
    let look = Arc::new(Look::default());
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(look.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))?;
    let mut stream = TcpStream::connect((host, port)).map_err(|error| failed(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| failed(&error))?;
    // Ends with the refusal above.
    let ended = connection.complete_io(&mut stream);
    let seen = std::mem::take(&mut *look.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    match ended {
        Err(error) if seen.is_empty() => Err(failed(&error)),
        _ => Ok(seen),
    }
}

/// SHA-256 of a certificate, in hexadecimal.
pub fn digest(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A certificate as PEM.
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = base64(certificate);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
