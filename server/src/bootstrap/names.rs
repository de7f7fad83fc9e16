//! Names and addresses that a certificate is made for. Text becomes one of them at the command line, and nowhere is one
//! looked up.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// What people type to reach a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A number.
    Ip(IpAddr),
    /// A name that may stand in a certificate.
    Name(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        // All digits and dots is an address that went wrong, not a name.
        let name = DnsName::try_from(text)
            .ok()
            .filter(|_| !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
        match name {
            Some(name) => Ok(Self::Name(name.as_ref().to_ascii_lowercase())),
            None => Err(format!(
                "`{text}` is neither an address nor a DNS name; give one without scheme and port"
            )),
        }
    }
}

/// As in a certificate.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Address {
    /// The dashboard's URL at this address.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        match self {
            Self::Ip(IpAddr::V6(address)) => format!("https://[{address}]:{port}/"),
            Self::Ip(IpAddr::V4(_)) | Self::Name(_) => format!("https://{self}:{port}/"),
        }
    }
}

/// Names that mean this host on this host.
#[must_use]
pub fn loopback() -> Vec<Address> {
    vec![
        Address::Name("localhost".to_owned()),
        Address::Ip([127, 0, 0, 1].into()),
        Address::Ip([0u16, 0, 0, 0, 0, 0, 0, 1].into()),
    ]
}

/// The name that this host gives itself, where that is one.
#[must_use]
pub fn host() -> Option<Address> {
    std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_an_address_or_a_name_or_refused() {
        let url = |text: &str| text.parse::<Address>().map(|address| address.url(8443));
        assert_eq!(url("192.0.2.1").unwrap(), "https://192.0.2.1:8443/");
        assert_eq!(url("2001:db8::1").unwrap(), "https://[2001:db8::1]:8443/");
        assert_eq!(url("Cloud.example.org").unwrap(), "https://cloud.example.org:8443/");
        for wrong in ["", "https://x", "x:1", "300.1.1.1", "a b", "-"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
