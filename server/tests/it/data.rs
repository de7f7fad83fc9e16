//! What the control tool asks before it puts one version in the place of another.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use server::cli::Role;

use crate::process::start;
use crate::support::Host;

fn ask(host: &Host, command: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cairn-server"));
    program.env_clear().env("CAIRN_ROOT", host.root.path()).args([command, "--json"]).output().unwrap()
}

fn answer(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every file of the server's data.
fn data(host: &Host) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(host.layout.server_data()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect()
}

/// A host on which a server has made its database.
fn with_a_database() -> Host {
    let host = Host::new(Role::Server);
    host.install_dashboard();
    std::fs::write(host.layout.server_config(), "listen = \"127.0.0.1:0\"\n").unwrap();
    let (mut server, _) = start(&host);
    // Also while it runs.
    let running = answer(&ask(&host, "inspect"));
    assert_eq!(running["applied"], running["known"]);
    assert_eq!(ask(&host, "migrate").status.code(), Some(5), "a server works with it");
    is_copied(&host, "while it runs");
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    host
}

/// A copy is a whole database of its own: it says what the other says, and its rows are there.
#[track_caller]
fn is_copied(host: &Host, when: &str) {
    let folder = tempfile::tempdir().unwrap();
    let other = packaging_service::layout::Layout::new(folder.path());
    std::fs::create_dir_all(other.server_data()).unwrap();
    let copy = other.database();
    let copied = || backup(host, &copy);
    let answered = answer(&copied());
    let mut program = Command::new(env!("CARGO_BIN_EXE_cairn-server"));
    let inspected = program.env_clear().env("CAIRN_ROOT", folder.path()).args(["inspect", "--json"]);
    let inspected = answer(&inspected.output().unwrap());
    assert_eq!(inspected["applied"], inspected["known"], "{when}");
    assert_eq!(answered["applied"], inspected["applied"]);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing but the file, and nothing that is there is overwritten.
    assert_eq!(std::fs::read_dir(other.server_data()).unwrap().count(), 1);
    let content = std::fs::read(&copy).unwrap();
    assert_eq!(copied().status.code(), Some(7));
    assert_eq!(std::fs::read(&copy).unwrap(), content);
}

fn backup(host: &Host, to: &std::path::Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cairn-server"));
    program.env_clear().env("CAIRN_ROOT", host.root.path()).args(["backup", "--json", "--to"]);
    program.arg(to).output().unwrap()
}

#[test]
fn what_lies_here_is_told_and_not_touched() {
    let host = with_a_database();
    let before = data(&host);
    is_copied(&host, "while none runs");
    let found = answer(&ask(&host, "inspect"));
    assert_eq!((&found["contract"], &found["configuration"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(found["settings"]["session_hours"], 12);
    assert!(found["applied"].as_i64().unwrap() >= 2 && found["applied"] == found["known"], "{found}");
    let migrated = answer(&ask(&host, "migrate"));
    assert_eq!((&migrated["from"], &migrated["to"]), (&found["applied"], &found["known"]));
    let after = data(&host);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert_eq!(before[&host.layout.database()], after[&host.layout.database()]);
}

#[test]
fn without_a_database_none_is_made() {
    let host = Host::new(Role::Server);
    let before = data(&host);
    assert_eq!(answer(&ask(&host, "inspect"))["applied"], serde_json::Value::Null);
    assert_eq!(answer(&ask(&host, "migrate"))["from"], serde_json::Value::Null);
    let copy = host.root.path().join("copy.db");
    assert_eq!(answer(&backup(&host, &copy))["applied"], serde_json::Value::Null);
    assert!(!copy.exists());
    assert_eq!(data(&host), before);
}

#[test]
fn a_wrong_configuration_is_told() {
    let host = with_a_database();
    std::fs::write(host.layout.server_config(), "lissten = 1\n").unwrap();
    let found = answer(&ask(&host, "inspect"));
    assert!(found["configuration"].as_str().unwrap().contains("lissten"), "{found}");
    assert_eq!(found["settings"], serde_json::Value::Null);
    assert_eq!(found["applied"], found["known"]);
}
