//! The agent of this host, played by a twin that speaks the same protocol with the same certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use agent_protocol::VERSION;
use agent_protocol::call::{Call, HostFacts};
use agent_protocol::envelope::{Failure, FailureCode, Reply, Request};
use agent_protocol::host::{Facts, FactsRequest};
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use axum::{Json, Router};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::{serve, tls};
use serde_json::Value;
use server::cli::Role;
use tokio::net::TcpListener;

use crate::support::Host;

pub fn golden() -> Facts {
    let text = include_str!("../../../agent/protocol/golden/host-facts.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(golden["reply"]["result"].clone()).unwrap()
}

/// An agent that answers with the golden facts. It stops when the returned value is dropped.
pub async fn twin(layout: &Layout) -> (SocketAddr, Stopper) {
    let facts = async |Json(request): Json<Request<FactsRequest>>| {
        Json(Reply { protocol: request.protocol, operation: request.operation, result: golden() })
    };
    serve_agent(layout, Router::new().route(HostFacts::PATH, post(facts))).await
}

async fn serve_agent(layout: &Layout, router: Router) -> (SocketAddr, Stopper) {
    serve_agent_for(layout, layout, router).await
}

/// An agent with the certificate of one installation that obeys the server of another.
async fn serve_agent_for(layout: &Layout, of: &Layout, router: Router) -> (SocketAddr, Stopper) {
    let (identity, roots) = (tls::identity(layout, "agent").unwrap(), tls::authority(of).unwrap());
    let config =
        tls::private_server(layout, identity.shown().unwrap(), roots, agent_protocol::SERVER_NAME).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = stop::channel();
    tokio::spawn(serve::tls(listener, Arc::clone(&config), router, stop));
    (address, stopper)
}

#[tokio::test]
async fn the_host_is_what_its_agent_says() {
    let mut host = Host::new(Role::All);
    let (address, _agent) = twin(&host.layout).await;
    host.config.local_agent = address;
    let running = host.start().await;
    let token = running.token().await;
    let answer = running.get_as(&token, "/api/v1/host/local").await;
    assert_eq!(answer.status.as_u16(), 200);
    let said = answer.json();
    assert_eq!(said["agent"]["ref"], "0.9fix");
    assert_eq!((&said["name"], &said["cpu_count"]), (&"node1".into(), &32.into()));
    assert_eq!(said["accel"]["auto"], "tcg");
    assert_eq!(said["accel"]["reason"], "`/dev/kvm` does not open: Permission denied (os error 13)");
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_an_error_with_a_next_step() {
    let mut host = Host::new(Role::All);
    // Bound and never listening: a connection is refused, and nobody else can take the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    host.config.local_agent = socket.local_addr().unwrap();
    let running = host.start().await;
    let token = running.token().await;
    let answer = running.get_as(&token, "/api/v1/host/local").await;
    assert_eq!(answer.error(), (502, "agent_unreachable".into()));
    let said = answer.json();
    assert!(said["cause"].as_str().unwrap().contains(&host.config.local_agent.to_string()), "{said}");
    assert!(said["next"].as_str().unwrap().contains("cairn-agent health"), "{said}");
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_another_is_refused() {
    let (mut host, stranger) = (Host::new(Role::All), Host::new(Role::All));
    let (address, _agent) = twin(&stranger.layout).await;
    host.config.local_agent = address;
    let running = host.start().await;
    let token = running.token().await;
    let answer = running.get_as(&token, "/api/v1/host/local").await;
    assert_eq!(answer.error(), (502, "agent_unreachable".into()));
    let said = answer.json();
    assert!(
        said["cause"].as_str().unwrap().contains("no TLS: its certificate is signed by another authority"),
        "{said}"
    );
    assert!(
        said["next"].as_str().unwrap().contains("make a token there with `cairn host add --for HOST`"),
        "{said}"
    );
    running.stop().await;
}

/// What the operator of a server reads whose certificate an agent refuses, as the state of the host too.
#[tokio::test]
async fn an_agent_that_refuses_this_server_is_told_from_a_dead_one() {
    for (theirs, ours, cause, next) in [
        ("stranger", None, "it joined another authority (UnknownCA)", "`cairn host add --for HOST`"),
        (
            "ours",
            Some("agent"),
            "it is made for servers, as an agent's is (UnsupportedCertificate)",
            "restore `server-client.pem`",
        ),
    ] {
        let (mut host, stranger) = (Host::new(Role::All), Host::new(Role::All));
        let twin_roots = if theirs == "stranger" { &stranger.layout } else { &host.layout };
        let (address, _agent) = serve_agent_for(&host.layout, twin_roots, Router::new()).await;
        for ending in ours.map_or(&[][..], |_| &["pem", "key"]) {
            let from = host.layout.tls(&format!("{}.{ending}", ours.unwrap()));
            std::fs::copy(from, host.layout.tls(&format!("server-client.{ending}"))).unwrap();
        }
        host.config.local_agent = address;
        let running = host.start().await;
        let token = running.token().await;
        let answer = running.get_as(&token, "/api/v1/host/local").await;
        assert_eq!(answer.error(), (502, "agent_unreachable".into()));
        let said = answer.json();
        assert_eq!(said["message"], "this host and this server do not agree on certificates");
        assert!(said["cause"].as_str().unwrap().contains(cause), "{said}");
        assert!(said["next"].as_str().unwrap().contains(next), "{said}");
        let told = |hosts: &Value| hosts["hosts"][0]["link"]["reason"].as_str().map(str::to_owned);
        let seen = running.eventually(&token, "/api/v1/hosts", |hosts| told(hosts).is_some()).await;
        let reason = told(&seen).unwrap();
        assert!(reason.contains(cause) && reason.contains(next), "{reason}");
        running.stop().await;
    }
}

#[tokio::test]
async fn an_agent_without_the_call_is_told_from_a_dead_one() {
    let mut host = Host::new(Role::All);
    let (address, _agent) = serve_agent(&host.layout, Router::new()).await;
    host.config.local_agent = address;
    let running = host.start().await;
    let token = running.token().await;
    let said = running.get_as(&token, "/api/v1/host/local").await.json();
    assert_eq!(said["message"], "the agent of this host does not answer as it should");
    assert!(said["next"].as_str().unwrap().contains("same version"), "{said}");
    running.stop().await;
}

/// As release 0.9 answers: it knows no call by such a path.
#[tokio::test]
async fn an_agent_of_another_release_is_told_from_a_dead_one() {
    for (theirs, remedy) in [
        (1, "upgrade its host: run the installer of this server's release there"),
        (VERSION + 1, "upgrade this server: its agent is of a newer release"),
    ] {
        let mut host = Host::new(Role::All);
        let unknown = async move |uri: Uri| {
            let message =
                format!("this agent has no call `{}`; upgrade the older of server and agent", uri.path());
            let failure = Failure { protocol: theirs, code: FailureCode::UnknownCall, message };
            (StatusCode::NOT_FOUND, Json(failure))
        };
        let (address, _agent) = serve_agent(&host.layout, Router::new().fallback(unknown)).await;
        host.config.local_agent = address;
        let running = host.start().await;
        let token = running.token().await;
        let known = |hosts: &serde_json::Value| hosts["hosts"][0]["link"]["state"] == "disconnected";
        let hosts = running.eventually(&token, "/api/v1/hosts", known).await;
        let reason = format!(
            "the agent at `{address}` speaks version {theirs} of the protocol, this server version {VERSION}; {remedy}"
        );
        assert_eq!(hosts["hosts"][0]["link"]["reason"], reason);
        let answer = running.get_as(&token, "/api/v1/host/local").await;
        assert_eq!(answer.error(), (502, "agent_unreachable".into()));
        assert_eq!((&answer.json()["cause"], &answer.json()["next"]), (&reason.into(), &remedy.into()));
        running.stop().await;
    }
}
