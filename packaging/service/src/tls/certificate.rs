//! What a certificate says of itself: its common name, whom it is for, how long it lasts.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// The facts of one certificate that a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Common name of the subject, if it has exactly one.
    pub common_name: Option<String>,
    /// True if it says, explicitly, that it is for clients.
    pub for_clients: bool,
    /// DNS names and addresses that it is valid for, as text.
    pub names: Vec<String>,
    /// Whole days until it ends; negative once it has.
    pub days_left: i64,
}

/// Reads what `certificate` says.
///
/// # Errors
/// With the parser's complaint, if it is no X.509 certificate.
pub fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let mut names = parsed.subject().iter_common_name();
    let common_name = match (names.next(), names.next()) {
        (Some(only), None) => only.as_str().ok().map(str::to_owned),
        _ => None,
    };
    let usage = parsed.extended_key_usage().map_err(|error| error.to_string())?;
    let alternatives = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let names =
        alternatives.map_or(Vec::new(), |found| found.value.general_names.iter().filter_map(name).collect());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs().cast_signed());
    Ok(Facts {
        common_name,
        for_clients: usage.is_some_and(|usage| usage.value.client_auth),
        names,
        days_left: (parsed.validity().not_after.timestamp() - now).div_euclid(24 * 60 * 60),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}
