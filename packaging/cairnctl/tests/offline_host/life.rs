//! The life of an installation: installed, used, rebooted, hurt, removed, brought back, purged. One machine, one boot
//! and a reboot.

use crate::host::{Host, UNITS, expect, paths};
use crate::{https, operated, preflight};

/// What stays when everything but data is removed, folders with all that is in them.
const KEPT: [&str; 4] = [
    "/etc/cairn/tls",
    "/var/lib/cairn/admin-password",
    "/var/lib/cairn/receipt.json",
    "/var/lib/cairn/server",
];

#[test]
fn from_a_bare_host_and_back() {
    let mut host = Host::boot();
    let bare = host.listing();
    let devices = host.says(["ip", "-brief", "link"]);
    assert!(devices.starts_with("lo ") && devices.lines().count() == 1, "{devices}");
    preflight::tells_everything(&host);
    preflight::refuses_a_taken_port(&host);
    preflight::refuses_an_ordinary_user(&host);

    let password = installs(&host);
    answers(&host, &password);
    a_second_installation_changes_nothing(&host);
    a_program_that_was_mended_is_running(&host);

    host.0.reboot().unwrap();
    host.assert_healthy();
    assert_eq!(host.trouble(), "");
    answers(&host, &password);
    the_agent_comes_back(&host);

    let removed = expect(&host.cairn(["uninstall", "--yes"]), 0, "uninstalled");
    host.assert_nothing_runs();
    for path in KEPT {
        assert!(removed.contains(&format!("keep {path}: ")), "{path} is not named:\n{removed}");
    }
    let left = paths(&bare.diff(&host.listing()));
    let is_data = |line: &String| {
        let path = std::path::Path::new(line.strip_prefix("+ ").unwrap_or_else(|| panic!("{line}")));
        KEPT.iter().any(|kept| path.starts_with(kept) || std::path::Path::new(kept).starts_with(path))
    };
    assert_eq!(left.iter().filter(|line| !is_data(line)).collect::<Vec<_>>(), [""; 0]);

    expect(&host.cairn(["install", "--yes"]), 0, "with the password set earlier");
    host.assert_healthy();
    answers(&host, &password);
    operated::day_by_day(&host, &password);

    // By the tool on the host this time.
    let purge = ["/opt/cairn/current/bin/cairnctl", "uninstall", "--yes", "--purge"];
    expect(&host.run(purge), 0, "stop and disable cairn-server.service");
    host.assert_nothing_runs();
    assert_eq!(bare.diff(&host.listing()), "");
    assert!(!host.has("/var/lib/systemd/timers/stamp-cairn-backup.timer"));
    expect(&host.cairn(["uninstall", "--yes"]), 0, "nothing to do");

    each_role_alone(&host);
    assert_eq!(bare.diff(&host.listing()), "");
}

fn each_role_alone(host: &Host) {
    for (role, [own, other]) in [("server", UNITS), ("agent", [UNITS[1], UNITS[0]])] {
        expect(&host.cairn(["--yes", "--role", role]), 0, &format!("systemctl status cairn-{role}\n"));
        assert_eq!(host.run(["systemctl", "is-active", own]).stdout_text(), "active");
        assert!(!host.has(&format!("/etc/systemd/system/{other}")));
        let program = format!("/opt/cairn/current/bin/cairn-{role}");
        expect(&host.run([&program, "health", "--json"]), 0, "\"healthy\":true");
        expect(&host.cairn(["uninstall", "--yes", "--purge"]), 0, "uninstalled");
        host.assert_nothing_runs();
    }
}

/// Installs unattended, and returns the password from its file.
fn installs(host: &Host) -> String {
    let said = expect(&host.cairn(["--yes"]), 0, "is installed");
    for words in [
        "https://host:8443/",
        "/var/lib/cairn/admin-password",
        "systemctl status cairn-server",
        "cairnctl uninstall",
    ] {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    host.assert_healthy();
    assert_eq!(host.trouble(), "");
    assert_eq!(host.says(["systemctl", "is-system-running"]), "running");
    for unit in UNITS {
        let verified = host.run(["systemd-analyze", "verify", &format!("/etc/systemd/system/{unit}")]);
        assert_eq!(expect(&verified, 0, ""), "");
    }
    // Measured when the units were written: what is more is a hole that somebody made.
    for (unit, exposure) in UNITS.into_iter().zip(["16", "34"]) {
        let bound = format!("--threshold={exposure}");
        expect(&host.run(["systemd-analyze", "security", "--no-pager", &bound, unit]), 0, "");
    }
    only_documented_ports_listen(host);
    no_secret_is_told(host, &host.says(["cat", "/var/lib/cairn/admin-password"]));
    assert_eq!(host.says(["stat", "--format=%a %U", "/var/lib/cairn/admin-password"]), "600 root");
    let password = host.says(["cat", "/var/lib/cairn/admin-password"]);
    assert!(password.len() >= 10 && !said.contains(&password));
    password
}

/// Those of the control contract, on all addresses, and nothing else.
fn only_documented_ports_listen(host: &Host) {
    let listening = host.says(["ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp"]);
    let port = |line: &str| line.split_whitespace().nth(4)?.rsplit_once(':').map(|(_, port)| port.to_owned());
    let mut ports: Vec<String> = listening.lines().filter_map(port).collect();
    ports.sort_unstable();
    assert_eq!(ports, ["7070", "8443"], "{listening}");
}

/// Not in a log, not in the command line or environment of what runs, and in no file that others can read.
fn no_secret_is_told(host: &Host, password: &str) {
    let logs = host.says(["journalctl", "--boot", "--output=cat", "--quiet", "--no-pager"]);
    assert!(logs.contains("serving on") && !logs.contains(password));
    let told =
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | grep --count --fixed-strings";
    let count = |words: &str| host.run(["sh", "-c", &format!("{told} {words}")]).stdout_text();
    assert_ne!(count("cairn-server"), "0");
    assert_eq!(count("--file=/var/lib/cairn/admin-password"), "0");
    let find = |words: [&str; 2]| {
        host.says(["find", "/etc/cairn/tls", "/var/lib/cairn", "-type", "f", words[0], words[1]])
    };
    assert_eq!(find(["-name", "*.key"]).lines().count(), 4);
    let open = find(["-perm", "/077"]);
    let public =
        |file: &&str| file.ends_with(".pem") || file.ends_with("receipt.json") || file.contains("/archives/");
    assert_eq!(open.lines().filter(|file| !public(file)).collect::<Vec<_>>(), [""; 0]);
}

/// The page and the API answer over TLS that the host's own authority vouches for, and the password lets one in.
fn answers(host: &Host, password: &str) {
    let page = https::ask(host, "/", None, None);
    assert!(page.status == 200 && page.text.contains("<html"), "{}", page.text);
    assert_eq!(https::ask(host, "/api/v1/host/local", None, None).status, 401);
    let wrong =
        https::ask(host, "/api/v1/login", None, Some(r#"{"user":"admin","password":"not the password"}"#));
    assert_eq!(wrong.status, 401, "{}", wrong.text);
    let body = serde_json::json!({ "user": "admin", "password": password }).to_string();
    let login = https::ask(host, "/api/v1/login", None, Some(&body));
    assert_eq!(login.status, 200, "{}", login.text);
    let (_, json) = login.text.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    // Through the server to the agent and back.
    let local = https::ask(host, "/api/v1/host/local", json["token"].as_str(), None);
    assert_eq!(local.status, 200, "{}", local.text);
}

fn a_second_installation_changes_nothing(host: &Host) {
    let (files, runs) = (host.listing(), host.runs());
    let said = expect(&host.cairn(["--yes"]), 0, "is already installed; nothing to do");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(host.changes_since(&files), [""; 0]);
    assert_eq!(host.runs(), runs);
    // Also when told not to start what runs: the services stay, and stay known.
    expect(&host.cairn(["--yes", "--no-start"]), 0, "nothing to do");
    assert_eq!(host.runs(), runs);
}

/// A running service goes on with the program that it was started with, until it is restarted.
fn a_program_that_was_mended_is_running(host: &Host) {
    let files = host.listing();
    let old = host.show(UNITS[1], "MainPID");
    host.says(["rm", "/opt/cairn/current/bin/cairn-agent"]);
    host.0.write(format!("/opt/cairn/versions/{}/bin/cairn-agent", host.version()), 0o755, "damage").unwrap();
    expect(&host.run(["/opt/cairn/current/bin/cairnctl", "verify"]), 2, "cairn-agent was changed");
    expect(&host.cairn(["--yes"]), 0, "start cairn-agent.service ... ok");
    assert_eq!(host.changes_since(&files), [""; 0]);
    assert_ne!(host.show(UNITS[1], "MainPID"), old);
    host.assert_healthy();
}

fn the_agent_comes_back(host: &Host) {
    let old = host.show(UNITS[1], "MainPID");
    host.says(["systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNITS[1]]);
    host.wait_until(|host| {
        host.show(UNITS[1], "NRestarts") == "1" && host.show(UNITS[1], "ActiveState") == "active"
    });
    assert_ne!(host.show(UNITS[1], "MainPID"), old);
    host.assert_healthy();
}
