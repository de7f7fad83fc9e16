//! Serving HTTP/1 behind an open door until told to stop, then letting the requests under way finish. What is served is
//! a tower service; no framework is known here.
//!
//! Whoever comes has a place among those who shake hands ([`places`]), and only who has done so gets one among those who are
//! served: peers that prove nothing take nothing from those who do.

mod body;
pub mod places;
mod refusals;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt};

use crate::stop::Stop;
use body::ReplyBody;
pub use body::{RequestBody, RequestBodyError};
use places::{Place, Places};
use refusals::Refusals;

/// How long requests under way may take once the service is told to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// How many peers may be there, and for how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Those that have not finished their handshake.
    handshakes: usize,
    /// How long that may take.
    handshake: Duration,
    /// Those that are served. Both together stay below the 1024 file descriptors that a process has if nobody says otherwise.
    connections: usize,
    /// How long the head of a request may take.
    head: Duration,
    /// How long its body may take. Nothing that is sent to a service is long.
    body: Duration,
}

const LIMITS: Limits = Limits {
    handshakes: 256,
    handshake: Duration::from_secs(10),
    connections: 512,
    head: Duration::from_secs(30),
    body: Duration::from_secs(30),
};

/// The longest head of a request that is read, in bytes: a peer costs no more memory.
const HEAD_LIMIT: usize = 64 << 10;

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
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    serve(TlsDoor(Arc::new(listener), TlsAcceptor::from(config)), service, stop, LIMITS).await;
}

/// Serves `service` on a socket file until `stop`, then for at most [`GRACE`].
pub async fn unix<S, B>(listener: UnixListener, service: S, stop: Stop)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    serve(UnixDoor(Arc::new(listener)), service, stop, LIMITS).await;
}

/// What all connections of one door share.
struct House<S> {
    service: S,
    limits: Limits,
    served: Arc<Places>,
    refusals: Refusals,
}

async fn serve<D, S, B>(door: D, service: S, mut stop: Stop, limits: Limits)
where
    D: Door,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let under_way = GracefulShutdown::new();
    let handshakes = Places::new(limits.handshakes);
    let served = Places::new(limits.connections);
    let house = Arc::new(House { service, limits, served, refusals: Refusals::default() });
    loop {
        let accepted = tokio::select! {
            () = stop.ordered() => break,
            accepted = door.accept() => accepted,
        };
        let (raw, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Comes at once: nobody is at work there.
        let place = handshakes.take(peer.map(|Peer(address)| address.ip())).await;
        let (house, door, watcher, mut stop) =
            (house.clone(), door.clone(), under_way.watcher(), stop.clone());
        tokio::spawn(async move {
            let opened = tokio::select! {
                () = stop.ordered() => None,
                opened = open(&house, door, raw, peer, place) => opened,
            };
            if let Some((stream, place)) = opened {
                converse(&house, stream, peer, place, watcher).await;
            }
        });
    }
    drop(door);
    if tokio::time::timeout(GRACE, under_way.shutdown()).await.is_err() {
        tracing::warn!("gave up on requests that took longer than {} s to finish", GRACE.as_secs());
    }
}

/// Shakes hands with a peer, and finds a place for it among those who are served. `place` is given up then.
async fn open<D: Door, S>(
    house: &House<S>,
    door: D,
    raw: D::Raw,
    peer: Option<Peer>,
    place: Place,
) -> Option<(D::Stream, Place)> {
    let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "too slow"));
    let opened = tokio::select! {
        () = place.lost() => late(),
        opened = tokio::time::timeout(house.limits.handshake, door.open(raw)) => opened.unwrap_or_else(|_| late()),
    };
    match (opened, peer) {
        (Ok(stream), _) => {
            let place = tokio::select! {
                () = place.lost() => return None,
                place = house.served.take(peer.map(|Peer(address)| address.ip())) => place,
            };
            Some((stream, place))
        }
        (Err(error), Some(Peer(address))) => {
            house.refusals.note(address, &error);
            None
        }
        (Err(_), None) => None,
    }
}

/// Serves one connection to its end.
async fn converse<T, S, B>(house: &House<S>, stream: T, peer: Option<Peer>, place: Place, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let place = Arc::new(place);
    let answer = |request: Request<Incoming>| {
        let busy = place.clone().work();
        let mut request = request.map(|body| RequestBody::new(body, house.limits.body));
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let reply = house.service.clone().oneshot(request);
        async move { Ok::<_, Infallible>(reply.await?.map(|body| ReplyBody::new(body, busy))) }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(house.limits.head)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let ended = tokio::select! {
        ended = watcher.watch(connection) => ended,
        () = place.lost() => return tracing::debug!("gave the place of {peer:?} to somebody else"),
    };
    if let Err(error) = ended {
        tracing::debug!("lost {peer:?}: {error}");
    }
}
