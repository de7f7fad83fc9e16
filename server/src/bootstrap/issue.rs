//! Certificates: the authority of an installation, and the certificates that it signs. Keys are ECDSA P-256.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, Error,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType,
};

use super::names::Address;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an authority lasts.
const AUTHORITY_LASTS: Duration = DAY.saturating_mul(3652);

/// How long what it signs lasts. Browsers refuse a server's certificate that lasts longer than 825 days.
const LEAF_LASTS: Duration = DAY.saturating_mul(730);

/// How far the clock of another host may lag behind.
const LAG: Duration = DAY;

/// A certificate and its key, as PEM text. The key is not shown by `{:?}`.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS 8.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What a certificate is for, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To prove whom one reached.
    Server,
    /// To prove who asks.
    Client,
}

/// Makes an authority.
///
/// # Errors
/// The library's.
pub fn authority() -> Result<Pair, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Two installations must not have authorities of one name: a browser that knows both takes one for the other.
    let mark = key
        .public_key_raw()
        .iter()
        .rev()
        .take(4)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let mut params = params(&format!("Cairn authority {mark}"), AUTHORITY_LASTS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Makes a key and a certificate for `common_name`, valid for `names`, signed by `authority`.
///
/// # Errors
/// The library's, also where `authority` is not a pair.
pub fn leaf(authority: &Pair, common_name: &str, purpose: Purpose, names: &[Address]) -> Result<Pair, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let params = leaf_params(common_name, purpose, names)?;
    Ok(Pair { certificate: params.signed_by(&key, &issuer(authority)?)?.pem(), key: key.serialize_pem() })
}

/// Makes a certificate for servers for the key in `request`, a signing request as PEM. What else the request asks for
/// is not looked at.
///
/// # Errors
/// The library's, also where `request` is none.
pub fn sign(authority: &Pair, request: &str, common_name: &str, names: &[Address]) -> Result<String, Error> {
    let key = CertificateSigningRequestParams::from_pem(request)?.public_key;
    let params = leaf_params(common_name, Purpose::Server, names)?;
    Ok(params.signed_by(&key, &issuer(authority)?)?.pem())
}

/// The key in `request`, a signing request as PEM, in DER form. Whoever made the request holds its other half.
///
/// # Errors
/// The library's, where `request` is none.
pub fn requested_key(request: &str) -> Result<Vec<u8>, Error> {
    Ok(CertificateSigningRequestParams::from_pem(request)?.public_key.subject_public_key_info())
}

fn issuer(authority: &Pair) -> Result<Issuer<'static, KeyPair>, Error> {
    Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)
}

fn leaf_params(common_name: &str, purpose: Purpose, names: &[Address]) -> Result<CertificateParams, Error> {
    let mut params = params(common_name, LEAF_LASTS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match purpose {
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    for name in names {
        params.subject_alt_names.push(match name {
            Address::Ip(address) => SanType::IpAddress(*address),
            Address::Name(name) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    Ok(params)
}

fn params(common_name: &str, lasts: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Cairn");
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - LAG).into();
    params.not_after = (now + lasts).into();
    params
}
