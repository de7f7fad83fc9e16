//! The verbs of an operator's day, on a machine with its own systemd.

use serde_json::Value;
use xtask_testbed::Invocation;

use crate::host::{Host, UNITS, expect};
use crate::https;
use crate::user::{PASSWORD, USER};

const TOOL: &str = "/opt/cairn/current/bin/cairnctl";
const TIMER: &str = "cairn-backup.timer";

/// On an installation that is healthy and that `password` opens; leaves it so, with [`PASSWORD`].
pub fn day_by_day(host: &Host, password: &str) {
    is_told(host);
    services_stop_and_start(host);
    another_password(host, password);
    a_backup_brings_back_what_was(host);
    settings_hold_only_if_the_service_works_with_them(host);
    another_address(host);
    what_is_wrong_is_found(host);
    no_secret_leaves(host);
    // What this test has put there itself.
    host.says(["rm", "-rf", "/root/.config"]);
}

fn ctl<const N: usize>(host: &Host, words: [&str; N]) -> xtask_testbed::Output {
    host.0.run(Invocation::new(TOOL).args(words)).unwrap()
}

#[track_caller]
fn json<const N: usize>(host: &Host, code: i32, words: [&str; N]) -> Value {
    let output = host.0.run(Invocation::new(TOOL).args(words).arg("--json")).unwrap();
    expect(&output, code, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_told(host: &Host) {
    let status = json(host, 0, ["status"]);
    assert_eq!((&status["healthy"], &status["role"]), (&true.into(), &"all".into()));
    for unit in [UNITS[0], UNITS[1], TIMER] {
        let found = status["units"].as_array().unwrap().iter().find(|found| found["unit"] == unit);
        let found = found.unwrap_or_else(|| panic!("{unit} is missing: {status}"));
        assert_eq!((&found["active"], &found["enabled"]), (&"active".into(), &true.into()), "{status}");
    }
    expect(&ctl(host, ["logs", "server", "--lines", "50"]), 0, "serving on");
    let verified = host.run(["systemd-analyze", "verify", &format!("/etc/systemd/system/{TIMER}")]);
    assert_eq!(expect(&verified, 0, ""), "");
}

fn services_stop_and_start(host: &Host) {
    let agent = host.show(UNITS[1], "MainPID");
    expect(&ctl(host, ["stop", "server"]), 0, "stop cairn-server.service ... ok");
    assert_eq!(host.run(["systemctl", "is-active", UNITS[0]]).stdout_text(), "inactive");
    assert_eq!(json(host, 7, ["status"])["healthy"], false);
    assert_eq!(json(host, 0, ["stop", "server"])["state"], "nothing-to-do");
    expect(&ctl(host, ["start"]), 0, "cairn-server is healthy");
    assert_eq!(host.show(UNITS[1], "MainPID"), agent, "one that runs is left alone");
    expect(&ctl(host, ["restart", "agent"]), 0, "cairn-agent is healthy");
    assert_ne!(host.show(UNITS[1], "MainPID"), agent);
    host.assert_healthy();
}

fn login(host: &Host, password: &str) -> https::Answer {
    let body = serde_json::json!({ "user": USER, "password": password }).to_string();
    https::ask(host, "/api/v1/login", None, Some(&body))
}

fn another_password(host: &Host, password: &str) {
    let session = login(host, password);
    let (_, session) = session.text.split_once("\r\n\r\n").unwrap();
    let session: Value = serde_json::from_str(session).unwrap();
    let reset = Invocation::new(TOOL).args(["reset-admin-password", "--password-stdin"]);
    let reset = host.0.run_with_stdin(reset, format!("{PASSWORD}\n")).unwrap();
    assert!(!expect(&reset, 0, "with the password that was given").contains(PASSWORD));
    assert_eq!(login(host, password).status, 401);
    assert_eq!(https::ask(host, "/api/v1/host/local", session["token"].as_str(), None).status, 401);
    // One that is made is printed, and opens the door.
    let made = json(host, 0, ["reset-admin-password"]);
    assert_eq!(login(host, made["password"].as_str().unwrap()).status, 200);
    let reset = Invocation::new(TOOL).args(["reset-admin-password", "--password-stdin"]);
    expect(&host.0.run_with_stdin(reset, format!("{PASSWORD}\n")).unwrap(), 0, "");
    assert!(host.logs_in());
}

fn a_backup_brings_back_what_was(host: &Host) {
    // As the timer has it done, within the limits of its unit, while the server runs.
    host.user(["config", "set", "vm.cacheMode", "writethrough"]);
    host.says(["systemctl", "start", "cairn-backup.service"]);
    let found = json(host, 0, ["backup", "list"]);
    assert_eq!(found["backups"].as_array().unwrap().len(), 1, "{found}");
    let file = found["backups"][0]["path"].as_str().unwrap();
    assert_eq!(host.says(["stat", "--format=%a %U", file]), "600 root");

    host.user(["config", "set", "vm.cacheMode", "none"]);
    host.0.write("/etc/cairn/server.toml", 0o644, "session_hours = 3\n").unwrap();
    let said = expect(&ctl(host, ["restore", "latest", "--dry-run"]), 0, "differs: /etc/cairn/server.toml");
    assert!(said.contains("stop cairn-server.service"), "{said}");
    assert_eq!(host.json(["config", "show", "vm.cacheMode"])["value"], "none");
    expect(&ctl(host, ["restore", "latest", "--yes"]), 0, "check the health of cairn-server ... ok");
    host.assert_healthy();
    assert!(host.logs_in());
    assert_eq!(host.json(["config", "show", "vm.cacheMode"])["value"], "writethrough");
    assert!(!host.says(["cat", "/etc/cairn/server.toml"]).contains("session_hours = 3"));
    expect(&ctl(host, ["backup", "list"]), 0, "before-restore-1.tar.gz");
}

fn settings_hold_only_if_the_service_works_with_them(host: &Host) {
    let old = host.says(["cat", "/etc/cairn/server.toml"]);
    expect(&ctl(host, ["config", "set", "server.session_hours", "3"]), 0, "cairnctl restart server");
    expect(&ctl(host, ["config", "unset", "server.session_hours", "--restart"]), 0, "");
    assert_eq!(host.says(["cat", "/etc/cairn/server.toml"]), old);
    // An address of documentation, which no host has: the service takes the file and does not start.
    let unlucky = ["config", "set", "server.listen", "192.0.2.1:8443", "--restart"];
    let said = expect(&ctl(host, unlucky), 6, "everything was put back as it was");
    assert!(said.contains("failed: start cairn-server.service"), "{said}");
    assert_eq!(host.says(["cat", "/etc/cairn/server.toml"]), old);
    host.assert_healthy();
    expect(&ctl(host, ["config", "set", "agent.lissten", "x"]), 1, "did you mean `listen`?");
}

fn another_address(host: &Host) {
    let change = ["change-address", "cloud.example", "127.0.0.2"];
    let said = expect(&ctl(host, change), 0, "https://cloud.example:8443/");
    assert!(said.contains("check the health of cairn-server ... ok"), "{said}");
    assert!(said.contains("check the server at cloud.example 127.0.0.2 ... ok"), "{said}");
    // One that the server does not answer at: nobody could follow the link that is shown.
    host.says(["cp", "--archive", "/etc/cairn/server.toml", "/root/server.toml"]);
    expect(&ctl(host, ["config", "set", "server.listen", "127.0.0.1:8443", "--restart"]), 0, "");
    let unlucky = expect(&ctl(host, ["change-address", "127.0.0.3"]), 6, "everything was put back as it was");
    assert!(unlucky.contains("failed: check the server at 127.0.0.3"), "{unlucky}");
    host.says(["mv", "/root/server.toml", "/etc/cairn/server.toml"]);
    expect(&ctl(host, ["restart", "server"]), 0, "cairn-server is healthy");
    // By the authority that was there before.
    for name in ["cloud.example", "localhost"] {
        assert_eq!(https::ask_as(host, name, "/", None, None).status, 200);
    }
    host.assert_healthy();
}

fn what_is_wrong_is_found(host: &Host) {
    let report = json(host, 0, ["doctor"]);
    let found = |name: &str, state: &str| {
        let checks = report["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["name"] == name && check["state"] == state).count()
    };
    // Two services, the timer, and what it starts; the programs as they run.
    assert_eq!((found("unit", "pass"), found("program", "pass")), (4, 2), "{report}");
    assert_eq!((found("files", "pass"), found("interrupted", "pass"), found("backup", "pass")), (1, 1, 1));
    host.says(["systemctl", "stop", UNITS[1]]);
    let said = expect(&ctl(host, ["doctor"]), 7, "cairn-agent.service is inactive");
    assert!(said.contains("remedy: systemctl enable --now cairn-agent.service"), "{said}");
    expect(&ctl(host, ["start", "agent"]), 0, "cairn-agent is healthy");
}

/// Of what a service logs, too.
fn no_secret_leaves(host: &Host) {
    let changes = format!("/etc/systemd/system/{}.d", UNITS[1]);
    host.says(["mkdir", &changes]);
    let line = "[Service]\nExecStartPre=/bin/echo token=PLANTED and then\n";
    host.0.write(format!("{changes}/planted.conf"), 0o644, line).unwrap();
    host.says(["systemctl", "daemon-reload"]);
    expect(&ctl(host, ["restart", "agent"]), 0, "cairn-agent is healthy");
    expect(&ctl(host, ["logs", "agent"]), 0, "PLANTED");
    expect(&ctl(host, ["support-bundle", "--to", "/root/bundle.tar.gz"]), 0, "support/log/cairn-agent.txt");
    host.says(["mkdir", "/root/bundle"]);
    host.says(["tar", "--extract", "--gzip", "--file=/root/bundle.tar.gz", "--directory=/root/bundle"]);
    expect(&host.run(["grep", "--recursive", "token=(removed)", "/root/bundle/support/log"]), 0, "");
    for secret in ["PLANTED", PASSWORD, "PRIVATE KEY-----", "argon2id$"] {
        let found = host.run(["grep", "--recursive", "--fixed-strings", "-e", secret, "/root/bundle"]);
        assert_eq!(expect(&found, 1, ""), "", "{secret}");
    }
    host.says(["rm", "-r", "/root/bundle", "/root/bundle.tar.gz", &changes]);
    host.says(["systemctl", "daemon-reload"]);
}
