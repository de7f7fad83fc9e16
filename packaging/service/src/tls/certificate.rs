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
    /// When it begins and ends, in seconds since 1970.
    pub lasts: (i64, i64),
}

/// Below so much of its life a certificate wants to be renewed: a third of it.
const RENEWAL_SHARE: i64 = 3;

/// And below so many days, whatever that is a share of.
const RENEWAL_DAYS: i64 = 60;

const DAY_SECONDS: i64 = 24 * 60 * 60;

impl Facts {
    /// True if at `now` it is time for a new one: long before health warns of it.
    #[must_use]
    pub fn wants_renewal(&self, now: SystemTime) -> bool {
        let (begins, ends) = self.lasts;
        ends - seconds(now) < ((ends - begins) / RENEWAL_SHARE).min(RENEWAL_DAYS * DAY_SECONDS)
    }
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed())
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
    let lasts = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    Ok(Facts {
        common_name,
        for_clients: usage.is_some_and(|usage| usage.value.client_auth),
        names,
        days_left: (lasts.1 - seconds(SystemTime::now())).div_euclid(DAY_SECONDS),
        lasts,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_renewed_in_the_last_two_months_or_the_last_third() {
        let wants = |days: i64, left: u64| {
            let ends = 1_000 * DAY_SECONDS;
            let facts = Facts {
                common_name: None,
                for_clients: false,
                names: Vec::new(),
                days_left: 0,
                lasts: (ends - days * DAY_SECONDS, ends),
            };
            facts.wants_renewal(UNIX_EPOCH + Duration::from_secs((1_000 - left) * 24 * 60 * 60))
        };
        assert_eq!([wants(730, 61), wants(730, 59), wants(730, 0)], [false, true, true]);
        assert_eq!([wants(30, 11), wants(30, 9)], [false, true]);
    }
}
