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
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The longest reply that is read, in bytes.
const REPLY_LIMIT: usize = 16 << 20;

/// Why there is no reply. The peer's name is known to the caller.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens, or the way is blocked.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// No agreement on certificates.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// The connection broke. Over TLS 1.3 this is also how a server refuses a client's certificate.
    #[error("no HTTP: {0}")]
    Http(String),
}

/// Connects to `address` and verifies that a certificate for `name` answers. Returns the stream after the handshake.
///
/// # Errors
/// [`ClientError::Connect`] or [`ClientError::Tls`].
pub async fn connect_tls(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ClientError> {
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
/// [`ClientError::Http`] if the connection breaks or the reply is too long.
pub async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let http = |error: &dyn std::error::Error| ClientError::Http(innermost(error));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| http(&error))?;
    // Ends when the sender is dropped; its errors reach the sender, too.
    let driver = tokio::spawn(connection);
    let reply = async {
        let response = sender.send_request(request).await.map_err(|error| http(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), REPLY_LIMIT).collect().await;
        Ok((status, body.map_err(|error| http(&*error))?.to_bytes()))
    }
    .await;
    driver.abort();
    reply
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
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
