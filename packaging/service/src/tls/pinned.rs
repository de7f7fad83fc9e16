//! Whom a host trusts that has not joined yet: a server whose certificate chains to an authority with a known digest. The
//! server shows that authority behind its own certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::certificate;

/// An authority that is known by the SHA-256 of its certificate in DER form.
#[derive(Debug, Clone)]
pub struct PinnedAuthority {
    digest: [u8; 32],
    provider: Arc<CryptoProvider>,
}

/// What every server's certificate is for, and that of no agent but the one on the server's own host: it proves a server also
/// where it is reached by an address that it got after its certificate.
const SERVER: &str = "localhost";

/// The digest that pins an authority.
#[must_use]
pub fn digest(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

impl PinnedAuthority {
    /// The authority with this digest.
    #[must_use]
    pub fn new(digest: [u8; 32]) -> Self {
        Self { digest, provider: Arc::new(rustls::crypto::ring::default_provider()) }
    }

    /// A client that trusts what this authority signed and nothing else, and shows no certificate.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        let config =
            ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(self.clone()));
        Arc::new(config.with_no_client_auth())
    }

    /// Checks a certificate that this host was given, all as PEM text: `authority` is the pinned one, it signed `certificate`
    /// as the server's `name` and for nothing but servers, and `key` belongs to it.
    ///
    /// # Errors
    /// With the complaint.
    pub fn vouches_for(
        &self,
        authority: &str,
        certificate: &str,
        key: &str,
        name: &str,
    ) -> Result<(), String> {
        let read = |what: &str, text: &str| {
            CertificateDer::from_pem_slice(text.as_bytes())
                .map_err(|error| format!("the {what} is none: {error}"))
        };
        let (authority, leaf) = (read("authority", authority)?, read("certificate", certificate)?);
        if digest(&authority) != self.digest {
            return Err("it comes with another authority".to_owned());
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        self.verifier(&authority)
            .and_then(|verifier| verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()))
            .map_err(|error| format!("its certificate does not hold: {error}"))?;
        if certificate::facts(&leaf)?.for_clients {
            return Err("its certificate is for clients, too".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
        let key = self.provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
        let pair = CertifiedKey::new(vec![leaf], key);
        pair.keys_match().map_err(|_| "its certificate is for another key".to_owned())
    }

    fn verifier(&self, authority: &CertificateDer<'_>) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates.iter().find(|certificate| digest(certificate) == self.digest);
        let pinned = pinned.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let verifier = self.verifier(pinned)?;
        let verify = |name: &ServerName<'_>| {
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        verify(server_name).or_else(|error| match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => verify(&ServerName::try_from(SERVER).map_err(|_| error)?),
            error => Err(error),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;

    const NAME: &str = "node1.example";

    struct Authority(Issuer<'static, KeyPair>, rcgen::Certificate);

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        Authority(Issuer::new(params, key), certificate)
    }

    fn leaf(by: &Authority, usage: &[ExtendedKeyUsagePurpose]) -> (rcgen::Certificate, KeyPair) {
        named(by, NAME, usage)
    }

    fn named(by: &Authority, name: &str, usage: &[ExtendedKeyUsagePurpose]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = usage.to_vec();
        (params.signed_by(&key, &by.0).unwrap(), key)
    }

    #[test]
    fn only_what_the_pinned_authority_signed_is_trusted() {
        let (ours, theirs) = (authority(), authority());
        let pinned = PinnedAuthority::new(digest(ours.1.der()));
        let trusts = |leaf: &CertificateDer<'_>, behind: &[&CertificateDer<'static>], name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let behind: Vec<_> = behind.iter().copied().cloned().collect();
            pinned.verify_server_cert(leaf, &behind, &name, &[], UnixTime::now()).is_ok()
        };
        let (good, _) = leaf(&ours, &[ServerAuth]);
        let (foreign, _) = leaf(&theirs, &[ServerAuth]);
        let (client, _) = leaf(&ours, &[ClientAuth]);
        let (server, _) = named(&ours, SERVER, &[ServerAuth]);
        let (our_ca, their_ca) = (ours.1.der(), theirs.1.der());
        assert!(trusts(good.der(), &[our_ca], NAME));
        assert!(trusts(good.der(), &[their_ca, our_ca], NAME));
        assert!(!trusts(good.der(), &[our_ca], "node2.example"), "another name");
        assert!(trusts(server.der(), &[our_ca], "192.0.2.7"), "a server at an address of later");
        assert!(!trusts(good.der(), &[], NAME), "the authority is not shown");
        assert!(!trusts(foreign.der(), &[their_ca], NAME), "another authority");
        assert!(!trusts(foreign.der(), &[our_ca], NAME), "an authority that did not sign it");
        assert!(!trusts(client.der(), &[our_ca], NAME), "made for clients");
        assert!(!trusts(our_ca, &[our_ca], NAME), "the authority itself");
    }

    #[test]
    fn a_certificate_that_was_given_is_looked_at() {
        let (ours, theirs) = (authority(), authority());
        let pinned = PinnedAuthority::new(digest(ours.1.der()));
        let complaint = |authority: &Authority, leaf: &rcgen::Certificate, key: &KeyPair, name: &str| {
            pinned
                .vouches_for(&authority.1.pem(), &leaf.pem(), &key.serialize_pem(), name)
                .err()
                .unwrap_or_default()
        };
        let (good, key) = leaf(&ours, &[ServerAuth]);
        assert_eq!(complaint(&ours, &good, &key, NAME), "");
        assert!(complaint(&ours, &good, &KeyPair::generate().unwrap(), NAME).contains("another key"));
        assert!(complaint(&ours, &good, &key, "node2.example").contains("does not hold"));
        assert!(complaint(&theirs, &good, &key, NAME).contains("another authority"));
        let (foreign, key) = leaf(&theirs, &[ServerAuth]);
        assert!(complaint(&ours, &foreign, &key, NAME).contains("does not hold"));
        let (both, key) = leaf(&ours, &[ServerAuth, ClientAuth]);
        assert!(complaint(&ours, &both, &key, NAME).contains("for clients"));
        assert!(pinned.vouches_for("x", "y", "z", NAME).unwrap_err().contains("the authority is none"));
    }
}
