//! From a host without certificates to one that serves, without a restart.

use std::time::Duration;

use agent::health;
use agent::link::State;
use packaging_service::report;

use crate::support::Host;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_agent_serves_once_its_certificates_appear() {
    let host = Host::new();
    let running = host.start();
    let socket = host.layout.agent_socket();

    let waiting = running.until(|state| matches!(state, State::Waiting { .. })).await;
    let State::Waiting { why } = waiting else { unreachable!() };
    assert!(why.contains("agent.pem"), "{why}");
    let report = health::ask(&socket, LIMIT).await;
    assert!(report.healthy, "{report}");
    let joined = report.checks.iter().find(|check| check.name == "joined").unwrap();
    assert_eq!(joined.state, report::State::Warn);
    assert!(joined.evidence.starts_with("waiting to be joined"), "{report}");

    host.join();
    let address = running.address().await;
    tokio::net::TcpStream::connect(address).await.unwrap();
    let report = health::ask(&socket, LIMIT).await;
    assert!(report.checks.iter().all(|check| check.state == report::State::Pass), "{report}");

    running.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_key_without_its_certificate_is_no_reason_to_wait_in_silence() {
    let host = Host::new();
    std::fs::write(host.layout.tls("agent.key"), "half").unwrap();
    let running = host.start();
    running.until(|state| matches!(state, State::Broken { .. })).await;
    let report = health::ask(&host.layout.agent_socket(), LIMIT).await;
    assert!(!report.healthy && report.checks[1].evidence.contains("agent.pem"), "{report}");
    running.stop().await;
}

#[tokio::test]
async fn without_an_agent_the_answer_is_a_failed_check() {
    let host = Host::new();
    let report = health::ask(&host.layout.agent_socket(), LIMIT).await;
    assert!(!report.healthy);
    assert_eq!(report.checks[0].name, "socket");
}

#[tokio::test]
async fn a_second_agent_on_one_root_is_refused() {
    let host = Host::new();
    let first = host.start();
    first.until(|state| *state != State::Starting).await;
    let second = host.start();
    assert!(second.failure().await.contains("another process answers on"));
    first.stop().await;
}
