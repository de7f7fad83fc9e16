//! The conversation with the server: one exchange, over TLS that trusts the token's authority alone.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::join::{JoinFailure, JoinFailureCode, JoinReply, JoinRequest, JoinToken, PATH};
use hyper::StatusCode;
use packaging_service::client::{self, ClientError};
use packaging_service::tls::pinned::PinnedAuthority;
use rustls::CertificateError;

use super::error::JoinError;

/// How long connecting and the server's answer may take together.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks the server of `token`.
///
/// # Errors
/// If it cannot be reached, is another, or refuses.
pub async fn ask(token: &JoinToken, request: &JoinRequest) -> Result<JoinReply, JoinError> {
    let server = token.server();
    let slow = || JoinError::Unreachable {
        server: token.server(),
        cause: format!("no answer within {} s", LIMIT.as_secs()),
    };
    let strange = |cause: String| JoinError::Strange { server: token.server(), cause };
    let body = serde_json::to_vec(request).map_err(|error| strange(error.to_string()))?;
    let (status, body) = tokio::time::timeout(LIMIT, exchange(token, body)).await.map_err(|_| slow())??;
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

async fn exchange(token: &JoinToken, body: Vec<u8>) -> Result<(StatusCode, hyper::body::Bytes), JoinError> {
    let server = token.server();
    let unreachable = |cause: String| JoinError::Unreachable { server: token.server(), cause };
    let addresses = tokio::net::lookup_host((token.host.as_str(), token.port)).await;
    let addresses = addresses.map_err(|error| unreachable(error.to_string()))?;
    let config = PinnedAuthority::new(token.authority).client();
    let mut failed = unreachable("its name has no address".to_owned());
    for address in addresses {
        match client::connect_tls(address, &token.host, Arc::clone(&config)).await {
            Ok(stream) => {
                let posted = client::exchange(stream, client::post_json(PATH, &server, body)).await;
                return posted.map_err(|error| unreachable(error.to_string()));
            }
            Err(error) => failed = no_connection(token, error),
        }
    }
    Err(failed)
}

fn no_connection(token: &JoinToken, error: ClientError) -> JoinError {
    let server = token.server();
    let cause = match error {
        ClientError::Tls(cause) => cause,
        ClientError::Connect(_) | ClientError::Http(_) => {
            return JoinError::Unreachable { server, cause: error.to_string() };
        }
    };
    match cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => JoinError::AnotherServer(server),
        Some(rustls::Error::InvalidCertificate(_)) => {
            JoinError::Unproven { server, cause: cause.to_string() }
        }
        Some(_) | None => JoinError::Unreachable { server, cause: format!("no TLS: {cause}") },
    }
}
