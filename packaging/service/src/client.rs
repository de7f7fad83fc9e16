//! One HTTP exchange over one connection, bounded in time and size. Used for health questions and for calls to an
//! agent; a pool would have nothing to do.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::refused;

/// The longest reply that is read, in bytes.
const REPLY_LIMIT: usize = 16 << 20;

/// Why there is no reply. The peer's name is known to the caller.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens, or the way is blocked.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// No agreement on certificates.
    #[error("no TLS: {told}{0}", told = refused::of_server(.0).map_or(String::new(), |(cause, _)| format!("{cause}: ")))]
    Tls(io::Error),
    /// The certificate that was shown is refused. Over TLS 1.3 this comes after the handshake.
    #[error("no TLS: {told} ({0:?})", told = refused::by_alert(*.0).0)]
    Refused(AlertDescription),
    /// The connection broke.
    #[error("no HTTP: {0}")]
    Http(String),
}

impl ClientError {
    /// What to do about it, where certificates are the cause.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Tls(error) => refused::of_server(error).map(|(_, remedy)| remedy),
            Self::Refused(alert) => Some(refused::by_alert(*alert).1),
            Self::Connect(_) | Self::Http(_) => None,
        }
    }
}

/// A connection over TLS, after the handshake.
pub type Connection = TlsStream<TcpStream>;

/// Connects to `address` and verifies that a certificate for `name` answers. Returns the stream after the handshake.
///
/// # Errors
/// [`ClientError::Connect`] or [`ClientError::Tls`].
pub async fn connect_tls(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<Connection, ClientError> {
    let name = ServerName::try_from(name.to_owned());
    let name = name.map_err(|error| ClientError::Tls(io::Error::other(error)))?;
    let stream = TcpStream::connect(address).await.map_err(ClientError::Connect)?;
    stream.set_nodelay(true).map_err(ClientError::Connect)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(ClientError::Tls)
}

/// Connects to the socket file at `path`.
///
/// # Errors
/// [`ClientError::Connect`].
pub async fn connect_unix(path: &Path) -> Result<UnixStream, ClientError> {
    UnixStream::connect(path).await.map_err(ClientError::Connect)
}

/// Sends `request` over `stream` and reads the whole reply. The stream is used up.
///
/// # Errors
/// [`ClientError::Http`] if the connection breaks or the reply is too long, [`ClientError::Refused`] if it does so because of the
/// certificate that was shown.
pub async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // Ends when the sender is dropped.
    let driver = tokio::spawn(connection);
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        // The connection broke before the request was on its way, and knows why.
        Err(error) if error.is_canceled() => {
            return Err(match driver.await {
                Ok(Err(cause)) => broken(&cause),
                Ok(Ok(())) | Err(_) => broken(&error),
            });
        }
        Err(error) => return Err(broken(&error)),
    };
    let status = response.status();
    let body = Limited::new(response.into_body(), REPLY_LIMIT).collect().await;
    driver.abort();
    Ok((status, body.map_err(|error| broken(&*error))?.to_bytes()))
}

/// A request without a body. `host` is what the `Host` header says.
#[must_use]
pub fn get(path: &'static str, host: &str) -> Request<Full<Bytes>> {
    request("GET", path, host, Bytes::new())
}

/// A request with a JSON body.
#[must_use]
pub fn post_json(path: &'static str, host: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = request("POST", path, host, body.into());
    let json = header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    request
}

fn request(method: &str, path: &'static str, host: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.parse().unwrap_or_default();
    *request.uri_mut() = hyper::Uri::from_static(path);
    if let Ok(host) = host.parse() {
        request.headers_mut().insert(header::HOST, host);
    }
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    request
}

/// The cause at the bottom: "connection error" alone tells nobody anything.
fn broken(error: &(dyn std::error::Error + 'static)) -> ClientError {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref()?.downcast_ref());
    match inner.or_else(|| error.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => ClientError::Refused(*alert),
        Some(_) | None => ClientError::Http(error.to_string()),
    }
}
