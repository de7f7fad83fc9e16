//! The program as systemd and the control tool run it.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::Host;

/// How long a test waits for what must come. It is a limit for failures; nothing is timed by it.
const LIMIT: Duration = Duration::from_secs(120);

pub fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-agent"));
    command.env_clear().env("CAIRN_ROOT", root);
    command
}

pub fn spawn(root: &Path) -> (Child, UnixDatagram) {
    spawn_as(program(root).arg("run"), root, Stdio::null())
}

/// Starts a command that is, or becomes, the program.
pub fn spawn_as(command: &mut Command, root: &Path, log: Stdio) -> (Child, UnixDatagram) {
    let socket = root.join("notify.sock");
    let notices = UnixDatagram::bind(&socket).unwrap();
    notices.set_read_timeout(Some(LIMIT)).unwrap();
    let child = command.env("NOTIFY_SOCKET", socket).stderr(log).spawn().unwrap();
    (child, notices)
}

pub fn notice(notices: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = notices.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn answer(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn it_is_ready_unjoined_and_stops_cleanly_on_sigterm() {
    let host = Host::new();
    let (mut child, notices) = spawn(&host.root());
    let ready = notice(&notices);
    assert!(ready.starts_with("READY=1\nSTATUS=waiting to be joined"), "{ready}");

    let health = program(&host.root()).args(["health", "--json"]).output().unwrap();
    assert_eq!((health.status.code(), answer(&health)["healthy"].as_bool()), (Some(0), Some(true)));

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(notice(&notices).starts_with("STOPPING=1"));
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let health = program(&host.root()).args(["health", "--json"]).output().unwrap();
    assert_eq!((health.status.code(), answer(&health)["healthy"].as_bool()), (Some(7), Some(false)));
}

#[test]
fn a_taken_port_ends_it_with_the_name_of_the_port() {
    let host = Host::new();
    host.join();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(host.layout.agent_config(), format!("listen = \"{address}\"\n")).unwrap();
    let output = program(&host.root()).arg("run").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{error}");
    assert!(
        error.lines().last().unwrap().starts_with(&format!("cairn-agent: `{address}` is already in use; "))
    );
}

#[test]
fn an_unknown_key_ends_it_with_the_nearest_one() {
    let host = Host::new();
    std::fs::write(host.layout.agent_config(), "lissen = 1\n").unwrap();
    let output = program(&host.root()).arg("run").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("agent.toml` has an unknown key `lissen`; did you mean `listen`?"), "{error}");
}

#[test]
fn bootstrap_says_what_it_made_and_whether_the_host_is_joined() {
    let host = Host::new();
    let first = answer(&program(&host.root()).args(["bootstrap", "--json"]).output().unwrap());
    let data = host.layout.agent_data().display().to_string();
    assert_eq!((&first["contract"], &first["created"]), (&1.into(), &vec![data].into()));
    assert_eq!(first["joined"], false);
    host.join();
    let second = answer(&program(&host.root()).args(["bootstrap", "--json"]).output().unwrap());
    assert_eq!((&second["created"], &second["joined"]), (&serde_json::json!([]), &true.into()));
}

#[test]
fn usage_errors_exit_with_1_and_the_version_with_0() {
    let host = Host::new();
    for wrong in [&[][..], &["fly"], &["run", "--fast"], &["health", "--timeout-ms", "0"]] {
        assert_eq!(program(&host.root()).args(wrong).output().unwrap().status.code(), Some(1), "{wrong:?}");
    }
    let version = program(&host.root()).arg("--version").output().unwrap();
    assert_eq!(version.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("cairn-agent"));
}
