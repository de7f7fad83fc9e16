//! What a host is set up with, and when it is not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use packaging_service::tls;
use server::bootstrap::AdminState;
use server::cli::Role;

use crate::support::Host;

/// Every file under `folder` with its mode and bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
            found.insert(path.clone(), (mode, std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_second_run_changes_no_byte() {
    let host = Host::bare();
    let first = host.bootstrap(Role::All).unwrap();
    let before = files(host.root.path());
    assert_eq!(before.len(), 9, "{:?}", before.keys());
    assert_eq!((first.kept.len(), first.admin.state), (0, AdminState::Created));
    assert_eq!(first.url, "https://cloud.example:8443/");
    assert!(before.keys().all(|path| first.created.contains(path)));

    let second = host.bootstrap(Role::All).unwrap();
    assert_eq!(files(host.root.path()), before);
    assert_eq!((second.created.len(), second.admin.state), (0, AdminState::Kept));
    assert_eq!(second.kept.len(), first.created.len());
    assert_eq!(second.admin.password, None);
}

#[test]
fn secrets_are_for_root_alone() {
    let host = Host::bare();
    host.bootstrap(Role::All).unwrap();
    for (path, (mode, content)) in files(host.root.path()) {
        let secret = path.extension().is_none_or(|extension| extension != "pem");
        assert_eq!(mode, if secret { 0o600 } else { 0o644 }, "{}", path.display());
        assert_eq!(
            String::from_utf8_lossy(&content).contains("PRIVATE KEY"),
            path.extension().unwrap() == "key"
        );
    }
    for folder in [host.layout.tls_folder(), host.layout.server_data()] {
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn certificates_are_for_what_they_are_for() {
    let host = Host::bare();
    host.bootstrap(Role::All).unwrap();
    let facts = |name: &str| {
        let chain = tls::certificates(&host.layout.tls(name)).unwrap();
        tls::certificate::facts(&chain[0]).unwrap()
    };
    let server = facts("server.pem");
    assert_eq!(server.names[..3], ["localhost", "127.0.0.1", "::1"]);
    assert_eq!(server.names.last().unwrap(), "cloud.example");
    assert!(!server.for_clients && (728..=730).contains(&server.days_left));
    let client = facts("server-client.pem");
    assert!(client.for_clients && client.common_name.as_deref() == Some("cairn-server"));
    let agent = facts("agent.pem");
    assert!(!agent.for_clients && !agent.names.contains(&"cloud.example".to_owned()));
    assert!((3650..=3652).contains(&facts("ca.pem").days_left));
}

#[test]
fn a_server_alone_has_no_agent_until_it_is_asked_for() {
    let host = Host::bare();
    host.bootstrap(Role::Server).unwrap();
    assert!(!host.layout.tls("agent.pem").exists());
    let authority = std::fs::read(host.layout.tls("ca.pem")).unwrap();
    let done = host.bootstrap(Role::All).unwrap();
    assert_eq!(done.created, [host.layout.tls("agent.key"), host.layout.tls("agent.pem")]);
    assert_eq!(std::fs::read(host.layout.tls("ca.pem")).unwrap(), authority);
    let roots = tls::authority(&host.layout).unwrap();
    let shown = tls::identity(&host.layout, "agent").unwrap().shown().unwrap();
    tls::private_server(&host.layout, shown, roots, "cairn-server").unwrap();
}

#[test]
fn half_a_pair_is_refused_and_nothing_is_made() {
    for name in ["ca", "server", "server-client", "agent"] {
        for (there, missing) in [("key", "pem"), ("pem", "key")] {
            let host = Host::bare();
            host.bootstrap(Role::All).unwrap();
            let missing = host.layout.tls(&format!("{name}.{missing}"));
            std::fs::remove_file(&missing).unwrap();
            let before = files(host.root.path());
            let error = host.bootstrap(Role::All).unwrap_err();
            assert!(error.contains(&missing.display().to_string()), "{error}");
            assert!(error.contains(&format!("{name}.{there}` is there")), "{error}");
            assert!(error.contains("; put "), "{error}");
            assert_eq!(files(host.root.path()), before);
        }
    }
}

#[test]
fn a_lost_authority_is_refused_and_not_replaced() {
    let host = Host::bare();
    host.bootstrap(Role::All).unwrap();
    for name in ["ca.pem", "ca.key"] {
        std::fs::remove_file(host.layout.tls(name)).unwrap();
    }
    let error = host.bootstrap(Role::Server).unwrap_err();
    assert!(error.contains("server.pem` is there and its authority"), "{error}");
    assert!(!host.layout.tls("ca.pem").exists());
}

/// Between any two of its files: the next run finishes what was begun, and makes nothing anew.
#[test]
fn a_kill_between_two_files_is_mended_by_the_next_run() {
    let names = ["ca.key", "ca.pem", "server.key", "server.pem", "server-client.key", "server-client.pem"];
    for placed in 0..=names.len() {
        let host = Host::bare();
        host.bootstrap(Role::Server).unwrap();
        let before = files(&host.layout.tls_folder());
        std::fs::remove_file(host.layout.admin()).unwrap();
        let ready = host.layout.tls(".joined");
        std::fs::create_dir(&ready).unwrap();
        for name in &names[placed..] {
            std::fs::rename(host.layout.tls(name), ready.join(name)).unwrap();
        }
        let done = host.bootstrap(Role::Server).unwrap();
        assert_eq!(files(&host.layout.tls_folder()), before, "{placed} were in their place");
        assert_eq!((done.created, done.admin.state), (vec![host.layout.admin()], AdminState::Created));
    }
}
