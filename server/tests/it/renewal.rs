//! Certificates of server and agents, renewed while both run. The clock that decides is the test's; nobody waits.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::facts::Sources;
use agent::run::Agent;
use agent_hypervisor::simulated::Simulated;
use agent_protocol::join::JoinToken;
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::{client, tls};
use serde_json::{Value, json};
use server::agents::renewal;
use server::cli::Role;
use server::store;

use crate::support::{Host, Running, STAMP};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn start_agent(layout: &Layout, listen: SocketAddr) -> Stopper {
    let config = agent::config::Config { listen, ..agent::config::Config::default() };
    let hypervisor = Arc::new(Simulated::new());
    let agent = Agent::new(layout.clone(), config, Sources::default(), &STAMP, hypervisor);
    let (stopper, stop) = stop::channel();
    tokio::spawn(Arc::new(agent).serve(stop));
    stopper
}

/// Freed for an agent, which must be told its port before it opens it.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the server shows to browsers.
async fn page(running: &Running, layout: &Layout) -> Vec<u8> {
    let tls = tls::anonymous_client(tls::authority(layout).unwrap());
    let stream = client::connect_tls(running.address, "localhost", tls).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn look(running: &Running, name: &str, now: SystemTime) -> bool {
    let cloud = &running.cloud;
    let host = store::host::by_name(&mut cloud.store.read().await.unwrap(), name).await.unwrap().unwrap();
    renewal::look(cloud, &host, &cloud.agents.of(&host).unwrap(), now).await.unwrap()
}

/// What the agent of a host shows to the server.
async fn seen(running: &Running, name: &str) -> Vec<u8> {
    let cloud = &running.cloud;
    let host = store::host::by_name(&mut cloud.store.read().await.unwrap(), name).await.unwrap().unwrap();
    let agent = cloud.agents.of(&host).unwrap();
    agent.certificate(Duration::from_secs(60)).await.unwrap().to_vec()
}

async fn connected(running: &Running, session: &str, name: &str) -> Value {
    let place = format!("/api/v1/hosts/{name}");
    running.eventually(session, &place, |host| host["link"]["state"] == "connected").await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_under_what_runs() {
    let mut host = Host::new(Role::All);
    host.config.local_agent = free();
    // An address that its certificate is not for, as one that the host got later.
    host.config.listen = "127.0.0.2:0".parse().unwrap();
    let _local = start_agent(&host.layout, host.config.local_agent);
    let running = host.start().await;
    let session = running.token().await;
    let hosts = running.get_as(&session, "/api/v1/hosts").await.json();
    let here = hosts["hosts"][0]["name"].as_str().unwrap();
    connected(&running, &session, here).await;

    // A second host joins, and runs a machine.
    let asked = json!({"server": running.address.to_string()});
    let made = running.post(&session, "/api/v1/hosts/tokens", &asked).await.json();
    let token: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    let root = tempfile::tempdir().unwrap();
    let (layout, listen) = (Layout::new(root.path()), free());
    let id = agent::join::join(&layout, &token, listen.port(), false).await.unwrap().to_string();
    let _far = start_agent(&layout, listen);
    let far = connected(&running, &session, &id).await["name"].as_str().unwrap().to_owned();
    let storage = json!({"name": "far", "host": id, "path": "/srv/far"});
    assert_eq!(running.post(&session, "/api/v1/storages", &storage).await.status.as_u16(), 201);
    let vm = json!({"name": "web", "memory_bytes": 64 << 20, "vcpus": 1, "root": {"storage": "far", "size_bytes": 1 << 20}, "start": true});
    running.succeed(&session, hyper::Method::POST, "/api/v1/vms", vm).await;

    let files = [
        host.layout.tls("server.pem"),
        host.layout.tls("server-client.pem"),
        host.layout.tls("agent.pem"),
        layout.tls("agent.pem"),
    ];
    let read = || files.each_ref().map(|file| std::fs::read(file).unwrap());
    let (before, shown, now) = (read(), page(&running, &host.layout).await, SystemTime::now());
    assert!(!running.renewal.look(now).unwrap());
    assert!(!look(&running, here, now).await && !look(&running, &far, now).await);
    assert_eq!((read(), page(&running, &host.layout).await), (before.clone(), shown.clone()));

    let later = now + 680 * DAY;
    assert!(running.renewal.look(later).unwrap());
    let seen = [seen(&running, here).await, seen(&running, &far).await];
    assert!(look(&running, here, later).await && look(&running, &far, later).await);
    for (old, new) in before.iter().zip(read()) {
        assert_ne!(*old, new);
    }
    // Shown already, and for the same names.
    assert_ne!(page(&running, &host.layout).await, shown);
    for ((name, before), file) in [here, &far].into_iter().zip(seen).zip(&files[2..]) {
        let now = self::seen(&running, name).await;
        assert_ne!(now, before);
        assert_eq!(now, tls::certificates(file).unwrap()[0].to_vec());
    }
    let names = |pem: &std::path::Path| {
        let facts = tls::certificate::facts(&tls::certificates(pem).unwrap()[0]).unwrap();
        (facts.names, facts.common_name, facts.for_clients)
    };
    assert!(names(&files[0]).0.contains(&"cloud.example".to_owned()));
    assert_eq!(names(&files[1]), (Vec::new(), Some("cairn-server".to_owned()), true));
    assert_eq!(names(&files[3]), (vec![id.clone()], Some(id.clone()), false));

    // Nobody had to come in again, and nothing stopped.
    running.succeed(&session, hyper::Method::POST, "/api/v1/vms/web/pause", json!({})).await;
    assert_eq!(running.get_as(&session, "/api/v1/vms/web").await.json()["state"], "paused");
    assert_eq!(running.get_as(&session, "/api/v1/host/local").await.status.as_u16(), 200);
    running.stop().await;
}

#[tokio::test]
async fn what_ended_while_no_server_ran_is_renewed_first() {
    let host = Host::new(Role::Server);
    let before = std::fs::read(host.layout.tls("server.pem")).unwrap();
    // As a kill leaves it, between the key and its certificate.
    let ready = host.layout.tls(".joined");
    std::fs::create_dir(&ready).unwrap();
    let other = Host::new(Role::Server);
    for name in ["ca.pem", "ca.key", "server-client.pem", "server-client.key", "server.pem"] {
        std::fs::rename(other.layout.tls(name), ready.join(name)).unwrap();
    }
    std::fs::rename(other.layout.tls("server.key"), host.layout.tls("server.key")).unwrap();
    let running = host.start().await;
    assert_eq!(running.get("/api/v1/health").await.status.as_u16(), 200);
    assert_ne!(std::fs::read(host.layout.tls("server.pem")).unwrap(), before);
    running.stop().await;
}
