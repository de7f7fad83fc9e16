//! Over real connections on the loopback address. Nothing is timed: what must not wait is given limits that never end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::stop::Stopper;
use crate::{client, listen, stop, tls};

const NEVER: Duration = Duration::from_secs(100_000);
const PATIENT: Limits = Limits { handshakes: 4, handshake: NEVER, connections: 2, head: NEVER, body: NEVER };

/// A server that answers with what it is sent, after `/wait` only once it is told.
struct Scene {
    address: SocketAddr,
    client: Arc<ClientConfig>,
    arrived: Arc<AtomicUsize>,
    release: Arc<Notify>,
    stopper: Stopper,
    served: JoinHandle<()>,
}

impl Scene {
    async fn open(limits: Limits) -> Self {
        tls::install_provider();
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.der().clone()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config =
            config.with_single_cert(vec![made.der().clone()], key.serialize_der().try_into().unwrap());
        let listener = listen::tcp("127.0.0.1:0".parse().unwrap(), &PathBuf::new()).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, release) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
        let service = tower::service_fn({
            let (arrived, release) = (arrived.clone(), release.clone());
            move |request: Request<RequestBody>| {
                let (arrived, release) = (arrived.clone(), release.clone());
                async move {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    if request.uri().path() == "/wait" {
                        release.notified().await;
                    }
                    let said = match request.into_body().collect().await {
                        Ok(body) => body.to_bytes(),
                        Err(error) => error.to_string().into(),
                    };
                    Ok(Response::new(Full::new(said)))
                }
            }
        });
        let (stopper, stop) = stop::channel();
        let door = TlsDoor(Arc::new(listener), TlsAcceptor::from(Arc::new(config.unwrap())));
        let served = tokio::spawn(serve(door, service, stop, limits));
        let client = tls::anonymous_client(Arc::new(roots));
        Self { address, client, arrived, release, stopper, served }
    }

    async fn connect(&self) -> client::Connection {
        client::connect_tls(self.address, "localhost", self.client.clone()).await.unwrap()
    }

    async fn ask(&self, path: &'static str) -> Result<Bytes, client::ClientError> {
        let request = client::post_json(path, "localhost", "good");
        client::exchange(self.connect().await, request).await.map(|(_, body)| body)
    }

    /// Waits until so many requests have come.
    async fn until(&self, arrived: usize) {
        while self.arrived.load(Ordering::SeqCst) < arrived {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) {
        self.stopper.stop();
        self.served.await.unwrap();
    }
}

/// What comes until the other side hangs up.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut said = Vec::new();
    // Hanging up on what was not read is an error here.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

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
        move |_: Request<RequestBody>| {
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

/// Ten times as many as there are places, none of which ever ends by itself.
#[tokio::test]
async fn peers_that_say_nothing_keep_nobody_out() {
    let scene = Scene::open(PATIENT).await;
    let mut silent = Vec::new();
    for _ in 0..10 * PATIENT.handshakes {
        silent.push(TcpStream::connect(scene.address).await.unwrap());
    }
    assert_eq!(scene.ask("/").await.unwrap(), "good");
    // The first of them had to go, the last is still there.
    assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0);
    let last = silent.last_mut().unwrap();
    last.write_all(b"x").await.unwrap();
    assert_eq!(last.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    scene.stop().await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_ends() {
    let scene = Scene::open(Limits { handshake: Duration::from_millis(1), ..PATIENT }).await;
    let mut silent = TcpStream::connect(scene.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    scene.stop().await;
}

#[tokio::test]
async fn who_shook_hands_and_asks_nothing_keeps_nobody_out() {
    let scene = Scene::open(PATIENT).await;
    let mut idle = Vec::new();
    for _ in 0..5 * PATIENT.connections {
        idle.push(scene.connect().await);
    }
    let mut half = scene.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    assert_eq!(scene.ask("/").await.unwrap(), "good");
    assert_eq!(rest(&mut idle[0]).await, "");
    drop((idle, half));
    scene.stop().await;
}

#[tokio::test]
async fn who_waits_for_an_answer_is_served_and_the_next_waits_for_a_place() {
    let scene = Arc::new(Scene::open(PATIENT).await);
    let ask = |path| {
        tokio::spawn({
            let scene = scene.clone();
            async move { scene.ask(path).await.unwrap() }
        })
    };
    let waiting = [ask("/wait"), ask("/wait")];
    scene.until(2).await;
    let third = ask("/");
    scene.release.notify_one();
    assert_eq!(third.await.unwrap(), "good");
    assert_eq!(scene.arrived.load(Ordering::SeqCst), 3);
    scene.release.notify_one();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), "good");
    }
    Arc::into_inner(scene).unwrap().stop().await;
}

#[tokio::test]
async fn a_request_must_come_in_time_and_its_head_be_short() {
    let scene = Scene::open(Limits { head: Duration::from_millis(1), ..PATIENT }).await;
    let mut half = scene.connect().await;
    // It may hang up before that is written.
    let _ = half.write_all(b"GET / HTTP/1.1\r\nHost: local").await;
    assert_eq!(rest(&mut half).await, "");
    assert_eq!(scene.arrived.load(Ordering::SeqCst), 0);
    scene.stop().await;

    let scene = Scene::open(PATIENT).await;
    let mut huge = scene.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(2 * HEAD_LIMIT));
    // It may hang up before all of it is written.
    let _ = huge.write_all(head.as_bytes()).await;
    assert!(!rest(&mut huge).await.contains("200 OK"));
    assert_eq!((scene.arrived.load(Ordering::SeqCst), scene.ask("/").await.unwrap()), (0, "good".into()));
    scene.stop().await;
}

#[tokio::test]
async fn a_body_must_come_in_time() {
    let scene = Scene::open(Limits { body: Duration::from_millis(1), ..PATIENT }).await;
    let mut slow = scene.connect().await;
    slow.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhal").await.unwrap();
    let said = rest(&mut slow).await;
    assert!(said.contains("did not come within 1 ms"), "{said}");
    scene.stop().await;
}
