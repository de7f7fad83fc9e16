//! A host joins whose answer is lost, and what its own token is to it and to others then: with the agent's own `join`, over real
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_protocol::join::{JoinToken, Secret};
use packaging_service::layout::Layout;
use packaging_service::tls::{self, pinned};
use serde_json::json;
use server::cli::Role;
use server::secret;
use server::store::{Id, join_token, now_ms};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::{Host, Running, until};

/// Something in between that loses answers: once the client has said more than its handshake takes, nothing comes back.
struct Between {
    address: SocketAddr,
    loses: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

/// The type of a TLS record that is encrypted: a client's first finishes its handshake, the second is its request.
const ENCRYPTED: u8 = 23;

async fn record(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut record = vec![0; 5];
    from.read_exact(&mut record).await.ok()?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    from.read_exact(&mut record[5..]).await.ok()?;
    Some(record)
}

impl Between {
    async fn open(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (loses, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let (lossy, cuts) = (loses.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                tokio::spawn(carry(client, server, lossy.load(Ordering::SeqCst), cuts.clone()));
            }
        });
        Self { address, loses, cut }
    }
}

async fn carry(client: TcpStream, server: TcpStream, loses: bool, cut: Arc<Notify>) {
    let ((mut said, mut told), (mut answered, mut asked)) = (client.into_split(), server.into_split());
    let back = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut answered, &mut told).await;
    });
    let mut encrypted = 0;
    while let Some(record) = record(&mut said).await {
        encrypted += usize::from(record[0] == ENCRYPTED);
        if loses && encrypted == 2 {
            back.abort();
            let _ = back.await;
            asked.write_all(&record).await.unwrap();
            // Both connections stay until the test has seen what came of it.
            return cut.notified().await;
        }
        asked.write_all(&record).await.unwrap();
    }
    let _ = back.await;
}

/// An agent's root, with nothing in it.
struct Machine {
    _root: tempfile::TempDir,
    layout: Layout,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        Self { _root: root, layout }
    }

    async fn join(&self, token: &JoinToken) -> Result<String, String> {
        let joined = agent::join::join(&self.layout, token, 7070, false).await;
        joined.map(|host| host.to_string()).map_err(|error| error.to_string())
    }
}

async fn token(running: &Running, session: &str, reach: SocketAddr) -> JoinToken {
    let asked = json!({"server": format!("localhost:{}", reach.port())});
    let made = running.post(session, "/api/v1/hosts/tokens", &asked).await;
    made.json()["token"].as_str().unwrap().parse().unwrap()
}

async fn hosts(running: &Running, session: &str) -> Vec<String> {
    let listed = running.get_as(session, "/api/v1/hosts").await.json();
    let hosts = listed["hosts"].as_array().unwrap().iter();
    hosts.map(|host| host["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_answer_was_lost_joins_with_its_token_and_nobody_else_does() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let between = Between::open(running.address).await;
    let token = token(&running, &session, between.address).await;
    let (machine, another) = (Arc::new(Machine::new()), Machine::new());

    let first = tokio::spawn({
        let (machine, token) = (machine.clone(), token.clone());
        async move { machine.join(&token).await }
    });
    until(async || !hosts(&running, &session).await.is_empty()).await;
    between.cut.notify_one();
    let lost = first.await.unwrap().unwrap_err();
    assert!(
        lost.contains("its answer did not come: ") && lost.contains("; join again with the same token"),
        "{lost}"
    );
    between.loses.store(false, Ordering::SeqCst);

    let used = another.join(&token).await.unwrap_err();
    assert!(
        used.contains("a host has joined the server at") && used.ends_with("; make a new token there"),
        "{used}"
    );
    let id = machine.join(&token).await.unwrap();
    assert_eq!(hosts(&running, &session).await, [id]);
    let again = another.join(&token).await.unwrap_err();
    assert!(again.contains("with this token before"), "{again}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_time_is_over_lets_nobody_in() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let authority = tls::certificates(&host.layout.tls("ca.pem")).unwrap();
    let token = JoinToken {
        host: "localhost".to_owned(),
        port: running.address.port(),
        authority: pinned::digest(&authority[0]),
        id: uuid::Uuid::new_v4(),
        secret: Secret([7; 32]),
    };
    let row = join_token::JoinToken {
        id: Id(token.id),
        digest: secret::digest(token.secret.0),
        created_by: "admin".to_owned(),
        created_ms: 0,
        expires_ms: now_ms() - 1,
        host_id: None,
        used_ms: None,
        used_key: None,
        used_host_id: None,
    };
    let mut db = running.cloud.store.write().await.unwrap();
    join_token::insert(&mut db, &row, 0).await.unwrap();
    db.commit().await.unwrap();
    let machine = Machine::new();
    let expired = machine.join(&token).await.unwrap_err();
    assert!(
        expired.contains("takes this token no longer: it has expired; make a new one there"),
        "{expired}"
    );
    assert_eq!(std::fs::read_dir(machine.layout.tls_folder()).unwrap().count(), 0);
    let session = running.token().await;
    assert!(hosts(&running, &session).await.is_empty());
    running.stop().await;
}
