//! The program as systemd and the control tool run it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use server::cli::Role;

use crate::support::Host;

/// How long a test waits for what must come. It is a limit for failures; nothing is timed by it.
const LIMIT: Duration = Duration::from_secs(120);

fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-server"));
    command.env_clear().env("CAIRN_ROOT", root);
    command
}

fn notice(notices: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = notices.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn answer(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

fn configure(host: &Host, text: &str) {
    std::fs::write(host.layout.server_config(), text).unwrap();
}

/// Starts the program on `host` and waits until it serves.
pub fn start(host: &Host) -> (Child, SocketAddr) {
    let socket = host.root.path().join("notify.sock");
    let notices = UnixDatagram::bind(&socket).unwrap();
    notices.set_read_timeout(Some(LIMIT)).unwrap();
    let mut run = program(host.root.path());
    let child = run.arg("run").env("NOTIFY_SOCKET", socket).stderr(Stdio::null()).spawn().unwrap();
    let ready = notice(&notices);
    (child, ready.strip_prefix("READY=1\nSTATUS=serving on ").unwrap().parse().unwrap())
}

#[test]
fn it_says_when_it_is_ready_is_healthy_and_stops_cleanly_on_sigterm() {
    let host = Host::new(Role::Server);
    let dashboard = host.install_dashboard().display().to_string();
    configure(&host, &format!("listen = \"127.0.0.1:0\"\ndashboard = \"{dashboard}\"\n"));
    let socket = host.root.path().join("notify.sock");
    let notices = UnixDatagram::bind(&socket).unwrap();
    notices.set_read_timeout(Some(LIMIT)).unwrap();
    let mut run = program(host.root.path());
    let mut child = run.arg("run").env("NOTIFY_SOCKET", socket).stderr(Stdio::null()).spawn().unwrap();

    let ready = notice(&notices);
    let address = ready.strip_prefix("READY=1\nSTATUS=serving on ").unwrap();
    configure(&host, &format!("listen = \"{address}\"\n"));
    let health = program(host.root.path()).args(["health", "--json"]).output().unwrap();
    assert_eq!(answer(&health)["healthy"], true, "{}", String::from_utf8_lossy(&health.stdout));
    assert_eq!(health.status.code(), Some(0));

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(notice(&notices).starts_with("STOPPING=1"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let health = program(host.root.path()).arg("health").output().unwrap();
    assert_eq!(health.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&health.stdout).ends_with("not healthy\n"));
}

#[test]
fn a_taken_port_ends_it_with_the_name_of_the_port() {
    let host = Host::new(Role::Server);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    configure(&host, &format!("listen = \"{address}\"\n"));
    let output = program(host.root.path()).arg("run").output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let error = last_line(&output);
    assert!(error.starts_with(&format!("cairn-server: `{address}` is already in use; ")), "{error}");
}

#[test]
fn a_second_server_on_the_same_database_is_refused_until_the_first_has_ended() {
    let host = Host::new(Role::Server);
    let dashboard = host.install_dashboard().display().to_string();
    configure(&host, &format!("listen = \"127.0.0.1:0\"\ndashboard = \"{dashboard}\"\n"));
    let (mut first, address) = start(&host);
    let second = program(host.root.path()).arg("run").output().unwrap();
    assert_eq!(second.status.code(), Some(5));
    let database = host.layout.database();
    assert_eq!(
        last_line(&second),
        format!(
            "cairn-server: another server works with the database `{}`; stop that one first, or give this one a root \
             of its own with `--root`",
            database.display()
        )
    );
    // The first is none the worse for it.
    configure(&host, &format!("listen = \"{address}\"\ndashboard = \"{dashboard}\"\n"));
    let health = program(host.root.path()).args(["health", "--json"]).output().unwrap();
    assert_eq!(answer(&health)["healthy"], true, "{}", String::from_utf8_lossy(&health.stdout));

    // Killed, it leaves nothing that stands in the way.
    first.kill().unwrap();
    first.wait().unwrap();
    std::fs::remove_file(host.root.path().join("notify.sock")).unwrap();
    configure(&host, "listen = \"127.0.0.1:0\"\n");
    let (mut next, _) = start(&host);
    next.kill().unwrap();
    next.wait().unwrap();
}

#[test]
fn what_is_missing_or_wrong_is_named_with_a_remedy() {
    let host = Host::bare();
    let output = program(host.root.path()).arg("run").output().unwrap();
    let error = last_line(&output);
    assert_eq!(output.status.code(), Some(7));
    assert!(
        error.contains("server.pem") && error.contains("; restore it, or run `cairn-server bootstrap`"),
        "{error}"
    );

    let host = Host::new(Role::Server);
    configure(&host, "lisen = \"127.0.0.1:0\"\n");
    for command in ["run", "health", "bootstrap"] {
        let output = program(host.root.path()).arg(command).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let error = last_line(&output);
        assert!(error.contains("server.toml` has an unknown key `lisen`; did you mean `listen`?"), "{error}");
    }
}

#[test]
fn bootstrap_shows_a_password_once() {
    let host = Host::bare();
    let run = || {
        program(host.root.path()).args(["bootstrap", "--json", "--address", "192.0.2.7"]).output().unwrap()
    };
    let first = answer(&run());
    assert_eq!((&first["contract"], &first["url"]), (&1.into(), &"https://192.0.2.7:8443/".into()));
    let password = first["admin"]["password"].as_str().unwrap();
    assert!(password.len() >= 20);
    let stored = server::login::credential::Credential::load(&host.layout.admin()).unwrap();
    assert!(stored.verify("admin", password));
    assert_eq!(
        answer(&run())["admin"],
        serde_json::json!({"user": "admin", "state": "kept", "password": null})
    );

    let other = program(host.root.path()).args(["bootstrap", "--address", "192.0.2.8"]).output().unwrap();
    assert_eq!(other.status.code(), Some(0));
    assert!(last_line(&other).contains("is not valid for `192.0.2.8`"));
}

#[test]
fn a_given_password_is_taken_from_standard_input_or_refused() {
    let host = Host::bare();
    let give = |text: &str| {
        let mut command = program(host.root.path());
        command.args(["bootstrap", "--json"]).env("CAIRN_ADMIN_PASSWORD_STDIN", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    for refused in ["", "\n", "short\n"] {
        assert_eq!(give(refused).status.code(), Some(1), "{refused:?}");
        assert!(!host.layout.config_folder().exists());
    }
    let taken = answer(&give("battery staple\n"));
    assert_eq!(taken["admin"], serde_json::json!({"user": "admin", "state": "created", "password": null}));
    let stored = server::login::credential::Credential::load(&host.layout.admin()).unwrap();
    assert!(stored.verify("admin", "battery staple"));
}

#[test]
fn usage_errors_exit_with_1_and_the_version_with_0() {
    let root = tempfile::tempdir().unwrap();
    for wrong in [&[][..], &["fly"], &["run", "--fast"], &["bootstrap", "--address", "https://x"]] {
        assert_eq!(program(root.path()).args(wrong).output().unwrap().status.code(), Some(1), "{wrong:?}");
    }
    let version = program(root.path()).arg("--version").output().unwrap();
    assert_eq!(version.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("cairn-server"));
}
