//! How a host joins. An operator gets a token from the server and carries it to the host; the agent there posts a
//! [`JoinRequest`] to [`PATH`] on the server's public door and gets its certificate. A token is good once.
//!
//! The token pins the server's authority, so that nobody in between can play the server: an agent talks only to a
//! server whose certificate chains to an authority with that digest, and the server shows that authority with its own
//! certificate.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

/// Where a [`JoinRequest`] is posted. Answered by a [`JoinReply`] with status 200, or by a [`JoinFailure`] with 4xx.
pub const PATH: &str = "/api/v1/hosts/join";

/// What the text of a token starts with; the digit is the version of its form.
const PREFIX: &str = "cairn1_";

/// Bytes before the server's host: its port, the token's id, the secret, the digest, the length of the host.
const HEAD: usize = 2 + 16 + 32 + 32 + 1;

/// What lets one host join. Its text form, `cairn1_` and base64url, is a secret.
#[derive(Debug, Clone)]
pub struct JoinToken {
    /// Name or address of the server; an IPv6 address without brackets.
    pub host: String,
    /// Port of the server's public door.
    pub port: u16,
    /// SHA-256 of the certificate of the server's authority, in DER form.
    pub authority: [u8; 32],
    /// Which token it is. No secret.
    pub id: Uuid,
    /// What proves that it was given.
    pub secret: Secret,
}

/// 32 random bytes that are not shown by `{:?}`. Not comparable: whoever checks one keeps its digest, and compares digests.
#[derive(Clone)]
pub struct Secret(pub [u8; 32]);

/// Why a text is no token. The text is not repeated: part of it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It does not start as one.
    #[error("this is no token; a token starts with `cairn1_`, copy all of it")]
    Foreign,
    /// Another version made it.
    #[error("this token was made by another version of Cairn; upgrade the older of server and agent")]
    Version,
    /// Something is missing, or too much.
    #[error("this token is damaged; copy all of it, or make a new one on the server")]
    Damaged,
}

/// Asks for a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token's id.
    pub token: Uuid,
    /// Its secret, as base64url.
    pub secret: Secret,
    /// A certificate signing request, PEM. Only its key counts; what names it asks for is not looked at.
    pub signing_request: String,
    /// What the host calls itself.
    pub host_name: String,
    /// The port that its agent serves on. Its address is where the request comes from.
    pub agent_port: u16,
}

/// What a host that joined is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinReply {
    /// The identity of the host from now on. Its certificate is valid for this name, in lower case with hyphens.
    pub host: Uuid,
    /// The certificate for the agent's key, PEM, for servers alone.
    pub certificate: String,
    /// The authority that signed it, PEM.
    pub authority: String,
}

/// Why a host did not join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinFailure {
    /// For programs.
    pub code: JoinFailureCode,
    /// For people: what went wrong, and what to do.
    pub message: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinFailureCode {
    /// A host joined with this token before.
    Used,
    /// Its time is over.
    Expired,
    /// There is no such token, or its secret is another. Which of the two is not told.
    Unknown,
    /// The request cannot be taken.
    Request,
}

impl JoinToken {
    /// The server as people write it: `node1:8443`, `[2001:db8::1]:8443`.
    #[must_use]
    pub fn server(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The text form, which shows the secret. None if the name of the server is empty or longer than 255 bytes.
    #[must_use]
    pub fn reveal(&self) -> Option<String> {
        let length = u8::try_from(self.host.len()).ok().filter(|length| *length > 0)?;
        let mut bytes = Vec::with_capacity(HEAD + self.host.len());
        bytes.extend(self.port.to_be_bytes());
        bytes.extend(self.id.as_bytes());
        bytes.extend(self.secret.0);
        bytes.extend(self.authority);
        bytes.push(length);
        bytes.extend(self.host.as_bytes());
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    /// Reads the text form. White space around it is not part of it.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let Some(body) = text.strip_prefix(PREFIX) else {
            let other = text.strip_prefix("cairn").and_then(|rest| rest.split_once('_'));
            let versioned = other.is_some_and(|(version, _)| version.parse::<u32>().is_ok());
            return Err(if versioned { TokenError::Version } else { TokenError::Foreign });
        };
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
        let mut rest = bytes.as_slice();
        let port = u16::from_be_bytes(take(&mut rest)?);
        let id = Uuid::from_bytes(take(&mut rest)?);
        let secret = Secret(take(&mut rest)?);
        let authority = take(&mut rest)?;
        let [length] = take(&mut rest)?;
        let host = str::from_utf8(rest).map_err(|_| TokenError::Damaged)?;
        if host.len() != usize::from(length) || host.is_empty() || port == 0 {
            return Err(TokenError::Damaged);
        }
        Ok(Self { host: host.to_owned(), port, authority, id, secret })
    }
}

/// Takes the next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (taken, left) = rest.split_first_chunk().ok_or(TokenError::Damaged)?;
    *rest = left;
    Ok(*taken)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| de::Error::custom("a secret is 32 bytes as base64url without padding"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            host: "cloud.example.org".to_owned(),
            port: 8443,
            authority: [0xaa; 32],
            id: Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8),
            secret: Secret([0x5e; 32]),
        }
    }

    #[test]
    fn a_token_survives_its_text_form() {
        let text = token().reveal().unwrap();
        let read: JoinToken = format!(" {text}\n").parse().unwrap();
        assert_eq!(read.reveal().unwrap(), text);
        assert_eq!((read.server().as_str(), read.id), ("cloud.example.org:8443", token().id));
        assert!(text.starts_with("cairn1_IPtn5VBEELFCb5JHu2gOX-DIXl5e"), "{text}");
        let address = JoinToken { host: "2001:db8::1".to_owned(), ..token() };
        assert_eq!(address.server(), "[2001:db8::1]:8443");
    }

    #[test]
    fn every_part_of_a_token_is_missed() {
        let text = token().reveal().unwrap();
        for end in 0..text.len() {
            assert!(text[..end].parse::<JoinToken>().is_err(), "{end}");
        }
        assert_eq!(format!("{text}AAAA").parse::<JoinToken>().unwrap_err(), TokenError::Damaged);
        assert_eq!(text.replace('_', "_=").parse::<JoinToken>().unwrap_err(), TokenError::Damaged);
        assert_eq!(text.replace("cairn1", "cairn2").parse::<JoinToken>().unwrap_err(), TokenError::Version);
        assert_eq!("hello".parse::<JoinToken>().unwrap_err(), TokenError::Foreign);
        assert_eq!("".parse::<JoinToken>().unwrap_err(), TokenError::Foreign);
        assert!(JoinToken { host: "x".repeat(256), ..token() }.reveal().is_none());
    }

    #[test]
    fn nobody_sees_a_secret_by_accident() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("Secret(..)") && !shown.contains("94"), "{shown}");
    }

    #[test]
    fn what_is_said_keeps_its_words() {
        let request = r#"{"token":"67e55044-10b1-426f-9247-bb680e5fe0c8","secret":"Xl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl4","signing_request":"-----BEGIN CERTIFICATE REQUEST-----","host_name":"node1","agent_port":7070}"#;
        let read: JoinRequest = serde_json::from_str(request).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), request);
        let short = request.replace("Xl5eXl5e", "");
        assert!(serde_json::from_str::<JoinRequest>(&short).is_err());

        let reply = r#"{"host":"67e55044-10b1-426f-9247-bb680e5fe0c8","certificate":"-----BEGIN CERTIFICATE-----","authority":"-----BEGIN CERTIFICATE-----"}"#;
        let read: JoinReply = serde_json::from_str(reply).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), reply);

        let words = [
            JoinFailureCode::Used,
            JoinFailureCode::Expired,
            JoinFailureCode::Unknown,
            JoinFailureCode::Request,
        ];
        let words = serde_json::to_string(&words).unwrap();
        assert_eq!(words, r#"["used","expired","unknown","request"]"#);
    }
}
