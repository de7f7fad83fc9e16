//! Whom an agent lets in: the holder of a certificate that chains to the authority, says explicitly that it is for
//! clients, and bears one common name. Everybody else is refused within the handshake, before a byte of HTTP.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::certificate;

/// Verifies that a client is the one expected.
#[derive(Debug)]
pub struct NamedPeer {
    chain: Arc<dyn ClientCertVerifier>,
    common_name: &'static str,
}

impl NamedPeer {
    /// Lets in the holder of a certificate from `roots` with `common_name`.
    ///
    /// # Errors
    /// With a complaint, if `roots` is empty.
    pub fn new(roots: Arc<RootCertStore>, common_name: &'static str) -> Result<Self, String> {
        let chain = WebPkiClientVerifier::builder(roots).build().map_err(|error| error.to_string())?;
        Ok(Self { chain, common_name })
    }
}

impl ClientCertVerifier for NamedPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let facts = certificate::facts(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        // The chain's verifier takes a certificate that says nothing of its purpose. Ours all say it.
        if !facts.for_clients {
            return Err(Error::InvalidCertificate(CertificateError::InvalidPurpose));
        }
        if facts.common_name.as_deref() != Some(self.common_name) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;

    const NAME: &str = "cairn-server";

    struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority(Issuer::new(params, key), certificate)
    }

    impl Authority {
        fn leaf(&self, names: &[&str], usage: &[ExtendedKeyUsagePurpose]) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for name in names {
                params.distinguished_name.push(DnType::CommonName, *name);
            }
            params.extended_key_usages = usage.to_vec();
            params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der().clone()
        }

        fn lets_in(&self, certificate: &CertificateDer<'_>) -> bool {
            crate::tls::install_provider();
            let mut roots = RootCertStore::empty();
            roots.add(self.1.clone()).unwrap();
            let peer = NamedPeer::new(Arc::new(roots), NAME).unwrap();
            peer.verify_client_cert(certificate, &[], UnixTime::now()).is_ok()
        }
    }

    #[test]
    fn only_the_named_client_of_this_authority_gets_in() {
        let ours = authority();
        assert!(ours.lets_in(&ours.leaf(&[NAME], &[ClientAuth])));
        assert!(ours.lets_in(&ours.leaf(&[NAME], &[ServerAuth, ClientAuth])));
        assert!(!ours.lets_in(&authority().leaf(&[NAME], &[ClientAuth])), "another authority");
        assert!(!ours.lets_in(&ours.leaf(&["cairn-agent"], &[ClientAuth])), "another name");
        assert!(!ours.lets_in(&ours.leaf(&[], &[ClientAuth])), "no name");
        assert!(!ours.lets_in(&ours.leaf(&[NAME], &[ServerAuth])), "made for servers");
        assert!(!ours.lets_in(&ours.leaf(&[NAME], &[])), "no purpose given");
        assert!(!ours.lets_in(&CertificateDer::from(vec![0; 8])), "no certificate");
    }
}
