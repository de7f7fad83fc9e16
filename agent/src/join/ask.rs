//! The conversation with the server: one exchange, over TLS that trusts the token's authority alone. Connecting and asking
//! are two steps: until there is a server that proves itself, nothing has happened anywhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::join::{JoinFailure, JoinFailureCode, JoinReply, JoinRequest, JoinToken, PATH};
use hyper::StatusCode;
use packaging_service::client::{self, ClientError, Connection};
use packaging_service::tls::pinned::PinnedAuthority;
use rustls::CertificateError;
use tokio::time::Instant;

use super::error::JoinError;

/// How long the server's answer may take.
const ANSWER: Duration = Duration::from_secs(60);

/// How long connecting may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To one address, while there is another to be tried.
    pub each: Duration,
    /// To all of them together.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { each: Duration::from_secs(10), whole: Duration::from_secs(60) }
    }
}

/// The addresses of the server of `token`.
///
/// # Errors
/// If its name has none.
pub async fn addresses(token: &JoinToken) -> Result<Vec<SocketAddr>, JoinError> {
    let found = tokio::net::lookup_host((token.host.as_str(), token.port)).await;
    Ok(found.map_err(|error| unreachable(token, error.to_string()))?.collect())
}

/// Connects to the server of `token` at the first of `addresses` where it proves itself. One that swallows everything does not
/// keep the next from being tried.
///
/// # Errors
/// If none does: with what the last one said, or what was wrong with a server that did answer.
pub async fn connect(
    token: &JoinToken,
    addresses: &[SocketAddr],
    patience: Patience,
) -> Result<Connection, JoinError> {
    let config = PinnedAuthority::new(token.authority).client();
    let begun = Instant::now();
    let mut failed = unreachable(token, "its name has no address".to_owned());
    for (at, address) in addresses.iter().enumerate() {
        let is_last = at + 1 == addresses.len();
        let whole = patience.whole.saturating_sub(begun.elapsed());
        let limit = if is_last { whole } else { whole.min(patience.each) };
        let connected = client::connect_tls(*address, &token.host, Arc::clone(&config));
        let error = match tokio::time::timeout(limit, connected).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => no_connection(token, error),
            Err(_) => {
                unreachable(token, format!("no answer from `{address}` within {} ms", limit.as_millis()))
            }
        };
        // Who answered and is another says more than who did not answer.
        if matches!(failed, JoinError::Unreachable { .. }) {
            failed = error;
        }
    }
    Err(failed)
}

/// Asks the server of `token`, which is at the other end of `stream`.
///
/// # Errors
/// If it refuses, or does not answer: then it may have done what it was asked.
pub async fn ask(
    token: &JoinToken,
    stream: Connection,
    request: &JoinRequest,
) -> Result<JoinReply, JoinError> {
    let server = token.server();
    let lost = |cause: String| JoinError::Lost { server: token.server(), cause };
    let strange = |cause: String| JoinError::Strange { server: token.server(), cause };
    let body = serde_json::to_vec(request).map_err(|error| strange(error.to_string()))?;
    let exchange = client::exchange(stream, client::post_json(PATH, &server, body));
    let (status, body) = tokio::time::timeout(ANSWER, exchange)
        .await
        .map_err(|_| lost(format!("nothing within {} s", ANSWER.as_secs())))?
        .map_err(|error| lost(error.to_string()))?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&body).map_err(|error| strange(error.to_string()));
    }
    let JoinFailure { code, message } =
        serde_json::from_slice(&body).map_err(|_| strange(format!("status {status}")))?;
    Err(match code {
        JoinFailureCode::Used => JoinError::Used(server),
        JoinFailureCode::Expired => JoinError::Expired(server),
        JoinFailureCode::Unknown => JoinError::Unknown(server),
        JoinFailureCode::Request => JoinError::Request { server, message },
    })
}

fn unreachable(token: &JoinToken, cause: String) -> JoinError {
    JoinError::Unreachable { server: token.server(), cause }
}

fn no_connection(token: &JoinToken, error: ClientError) -> JoinError {
    let server = token.server();
    let ClientError::Tls(cause) = error else {
        return unreachable(token, error.to_string());
    };
    match cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => JoinError::AnotherServer(server),
        Some(rustls::Error::InvalidCertificate(_)) => {
            JoinError::Unproven { server, cause: cause.to_string() }
        }
        Some(_) | None => unreachable(token, format!("no TLS: {cause}")),
    }
}
