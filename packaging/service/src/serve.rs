//! Serving HTTP/1 behind an open door until told to stop, then letting the requests under way finish. What is served is
//! a tower service; no framework is known here.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt};

use crate::stop::Stop;

/// How long requests under way may take once the service is told to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a peer may take for its handshake, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections served at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 512;

/// How long to wait after a failure to accept, which mostly means that there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// Who asks, in the extensions of each request that came over TCP. An IPv4 peer of an IPv6 socket is an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How long a peer may be silent before the kernel asks whether it is there, how often it asks, and how long an answer, or an
/// acknowledgement of what was sent, may take in all.
const SILENCE: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_secs(15);
const ASK_TIMES: u32 = 4;

/// Has the kernel find out that a peer is gone which did not say so: somebody who sends half a request, or follows events, would
/// keep a place for ever, or for a quarter of an hour. Whoever calls others needs none of this: each call has a limit of its own.
fn alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, ASK_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, ASK_TIMES)?;
    let limit = SILENCE + ASK_EVERY * ASK_TIMES;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

/// Something that accepts connections. What takes a round trip belongs into `open`, which runs beside other
/// connections.
trait Door: Clone + Send + 'static {
    type Raw: Send + 'static;
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Raw, Option<Peer>)>> + Send;
    fn open(&self, raw: Self::Raw) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

#[derive(Clone)]
struct TlsDoor(Arc<TcpListener>, TlsAcceptor);

impl Door for TlsDoor {
    type Raw = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<(TcpStream, Option<Peer>)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((stream, Some(Peer(SocketAddr::new(peer.ip().to_canonical(), peer.port())))))
    }

    async fn open(&self, raw: TcpStream) -> io::Result<Self::Stream> {
        raw.set_nodelay(true)?;
        alive(&raw)?;
        self.1.accept(raw).await
    }
}

#[derive(Clone)]
struct UnixDoor(Arc<UnixListener>);

impl Door for UnixDoor {
    type Raw = UnixStream;
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<Peer>)> {
        Ok((self.0.accept().await?.0, None))
    }

    async fn open(&self, raw: UnixStream) -> io::Result<UnixStream> {
        Ok(raw)
    }
}

/// Serves `service` over TLS until `stop`, then for at most [`GRACE`].
pub async fn tls<S, B>(listener: TcpListener, config: Arc<ServerConfig>, service: S, stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    serve(TlsDoor(Arc::new(listener), TlsAcceptor::from(config)), service, stop).await;
}

/// Serves `service` on a socket file until `stop`, then for at most [`GRACE`].
pub async fn unix<S, B>(listener: UnixListener, service: S, stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    serve(UnixDoor(Arc::new(listener)), service, stop).await;
}

async fn serve<D, S, B>(door: D, service: S, mut stop: Stop)
where
    D: Door,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let under_way = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.ordered() => break,
            accepted = async {
                // Never closed, so there is always a permit in the end.
                let place = places.clone().acquire_owned().await;
                (place, door.accept().await)
            } => accepted,
        };
        let (place, (raw, peer)) = match accepted {
            (place, Ok(accepted)) => (place, accepted),
            (_, Err(error)) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (door, service, watcher, stop) =
            (door.clone(), service.clone(), under_way.watcher(), stop.clone());
        tokio::spawn(async move {
            converse(door, raw, peer, service, watcher, stop).await;
            drop(place);
        });
    }
    drop(door);
    if tokio::time::timeout(GRACE, under_way.shutdown()).await.is_err() {
        tracing::warn!("gave up on requests that took longer than {} s to finish", GRACE.as_secs());
    }
}

/// Serves one connection to its end.
async fn converse<D, S, B>(
    door: D,
    raw: D::Raw,
    peer: Option<Peer>,
    service: S,
    watcher: Watcher,
    mut stop: Stop,
) where
    D: Door,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let whose = || peer.map_or("local".to_owned(), |Peer(address)| address.to_string());
    let stream = tokio::select! {
        () = stop.ordered() => return,
        opened = tokio::time::timeout(PATIENCE, door.open(raw)) => match opened {
            Ok(Ok(stream)) => stream,
            // Whoever only looks whether the port is open is no news.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Ok(Err(error)) => return tracing::info!("refused {}: {error}", whose()),
            Err(_) => return tracing::info!("refused {}: no handshake within {} s", whose(), PATIENCE.as_secs()),
        },
    };
    drop(door);
    let service = service.map_request(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!("lost {}: {error}", whose());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::Full;
    use hyper::body::Bytes;
    use tokio::sync::Notify;

    use super::*;
    use crate::{client, listen, stop};

    #[tokio::test]
    async fn the_kernel_looks_after_peers_that_are_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        alive(&stream).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), SILENCE);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), ASK_EVERY);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), ASK_TIMES);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 120_000);
        drop(peer);
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_order_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let service = tower::service_fn({
            let (arrived, release) = (arrived.clone(), release.clone());
            move |_: Request<Incoming>| {
                let (arrived, release) = (arrived.clone(), release.clone());
                async move {
                    arrived.notify_one();
                    release.notified().await;
                    Ok(Response::new(Full::new(Bytes::from_static(b"done"))))
                }
            }
        });
        let (stopper, stop) = stop::channel();
        let server = tokio::spawn(unix(listen::unix(&path).unwrap(), service, stop));
        let stream = client::connect_unix(&path).await.unwrap();
        let idle = client::connect_unix(&path).await.unwrap();
        let asked = tokio::spawn(client::exchange(stream, client::get("/", "localhost")));

        arrived.notified().await;
        stopper.stop();
        release.notify_one();
        let (status, body) = asked.await.unwrap().unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"done"[..]));
        // Ends although a connection is open that never asked for anything.
        server.await.unwrap();
        drop(idle);
    }
}
