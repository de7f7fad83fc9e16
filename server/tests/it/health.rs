//! What `health` finds, on good hosts and bad ones.

use std::time::Duration;

use packaging_service::report::{Report, State};
use packaging_stamp::Stamp;
use server::bootstrap::{Wish, bootstrap};
use server::cli::Role;
use server::health::{look, look_at_address, look_at_hosts};

use crate::host::{golden, twin};
use crate::resources::Scene;
use crate::support::{Host, PASSWORD};

const LIMIT: Duration = Duration::from_secs(60);

fn verdicts(report: &Report) -> Vec<(&str, State)> {
    report.checks.iter().map(|check| (check.name.as_str(), check.state)).collect()
}

#[tokio::test]
async fn a_good_host_passes_every_check() {
    let host = Host::new(Role::All);
    host.install_dashboard();
    let (agent, _stopper) = twin(&host.layout).await;
    let running = host.start().await;
    let report = look(&host.layout, running.address, agent, LIMIT).await;
    assert!(report.healthy, "{report}");
    let pass = |name| (name, State::Pass);
    let names = ["port", "certificate", "page", "client-certificate", "authority", "agent"];
    assert_eq!(verdicts(&report), names.map(pass));
    assert!(report.checks[5].evidence.contains("0.9fix"), "{report}");
    running.stop().await;
}

#[tokio::test]
async fn a_host_without_an_agent_is_not_asked_for_one() {
    let host = Host::new(Role::Server);
    host.install_dashboard();
    let running = host.start().await;
    let report = look(&host.layout, running.address, host.config.local_agent, LIMIT).await;
    assert!(report.healthy && report.checks.len() == 5, "{report}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_broken_fails_with_a_remedy() {
    let host = Host::new(Role::All);
    let running = host.start().await;
    // Bound and never listening: connections are refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = socket.local_addr().unwrap();
    let report = look(&host.layout, running.address, dead, LIMIT).await;
    assert!(!report.healthy);
    let (pass, fail) = (State::Pass, State::Fail);
    let files = [("client-certificate", pass), ("authority", pass)];
    assert_eq!(verdicts(&report)[..3], [("port", pass), ("certificate", pass), ("page", fail)]);
    assert_eq!(verdicts(&report)[3..], [files[0], files[1], ("agent", fail)]);
    assert!(report.checks[2].evidence.contains("503"), "{report}");
    assert!(report.checks.iter().all(|check| (check.state == fail) == check.remedy.is_some()));

    let report = look(&host.layout, dead, dead, LIMIT).await;
    assert_eq!(verdicts(&report), [("port", fail), files[0], files[1], ("agent", fail)]);
    running.stop().await;
}

#[tokio::test]
async fn certificates_that_only_hosts_see_are_looked_at_too() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["cairn-server".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 2, 3);
    for (file, check) in [("server-client", "client-certificate"), ("ca", "authority")] {
        std::fs::write(host.layout.tls(&format!("{file}.pem")), params.self_signed(&key).unwrap().pem())
            .unwrap();
        let report = look(&host.layout, running.address, host.config.local_agent, LIMIT).await;
        let found = report.checks.iter().find(|found| found.name == check).unwrap();
        assert_eq!(found.state, State::Fail, "{report}");
        assert!(found.evidence.contains("ended") && found.remedy.is_some(), "{report}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_fails() {
    let (host, stranger) = (Host::new(Role::Server), Host::new(Role::Server));
    let running = host.start().await;
    let report = look(&stranger.layout, running.address, host.config.local_agent, LIMIT).await;
    assert!(!report.healthy);
    assert_eq!(verdicts(&report)[1], ("certificate", State::Fail));
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_fails_in_time() {
    let host = Host::new(Role::Server);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let report = look(&host.layout, address, host.config.local_agent, Duration::from_millis(50)).await;
    // Which checks ran out of time depends on how busy this machine is; that one did, does not.
    assert!(!report.healthy);
    assert!(report.checks.iter().any(|check| check.evidence.contains("no answer within 50 ms")), "{report}");
}

#[tokio::test]
async fn an_address_leads_here_with_a_certificate_for_it_or_not() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let asked = async |address: &str| {
        look_at_address(&host.layout, running.address, &address.parse().unwrap(), LIMIT).await
    };
    for address in ["127.0.0.1", "localhost"] {
        let check = asked(address).await;
        assert_eq!((check.name.as_str(), check.state), ("address", State::Pass), "{}", check.evidence);
    }
    for (address, remedy) in [
        ("other.example", "change-address"),
        // Of documentation, so that no host has it.
        ("192.0.2.7", "change-address"),
        // This host's, and the server does not listen on it.
        ("127.0.0.2", "set `listen`"),
    ] {
        let check = asked(address).await;
        assert!(check.evidence.contains(address), "{}", check.evidence);
        assert_eq!(check.state, State::Fail, "{}", check.evidence);
        assert!(check.remedy.unwrap().contains(remedy), "{address}");
    }
    running.stop().await;
}

#[tokio::test]
async fn an_address_elsewhere_that_the_certificate_is_for_is_said() {
    let host = Host::bare();
    let addresses = ["cloud.example", "192.0.2.7"].map(|address| address.parse().unwrap()).into();
    let wish = Wish { role: Role::Server, addresses, password: Some(PASSWORD.to_owned()) };
    bootstrap(&host.layout, wish).unwrap();
    let running = host.start().await;
    for (address, state) in [("cloud.example", State::Pass), ("192.0.2.7", State::Warn)] {
        let check = look_at_address(&host.layout, running.address, &address.parse().unwrap(), LIMIT).await;
        assert_eq!(check.state, state, "{}", check.evidence);
    }
    running.stop().await;
}

#[tokio::test]
async fn agents_of_other_versions_are_named() {
    let ours = Stamp::new(Some("1.0"), Some("0000ffff"), Some("false"));
    let bare = Host::bare();
    assert!(look_at_hosts(&bare.layout.database(), &ours).await.is_none(), "there is no database");
    let scene = Scene::new().await;
    let database = scene.host.layout.database();
    let check = look_at_hosts(&database, &ours).await.unwrap();
    assert_eq!((check.name.as_str(), check.state), ("hosts", State::Warn));
    assert!(
        check.evidence.starts_with("the server is of 1.0, and 1 of 1 agents are not: `"),
        "{}",
        check.evidence
    );
    assert!(check.evidence.ends_with("` (0.9fix)"), "{}", check.evidence);
    assert!(check.remedy.unwrap().contains("run the installer of this server's release"));
    let same = Stamp::new(Some("1.0"), Some(golden().agent.commit.unwrap().leak()), Some("false"));
    assert_eq!(look_at_hosts(&database, &same).await.unwrap().state, State::Pass);
    // A program of a worktree does not know what it is.
    assert!(look_at_hosts(&database, &Stamp::new(None, None, None)).await.is_none());
    scene.running.stop().await;
}
