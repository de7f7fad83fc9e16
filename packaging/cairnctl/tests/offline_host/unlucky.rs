//! Services that will not start: everything is put back, and the message says where to look.

use crate::host::{Host, UNITS, expect, paths};

#[test]
fn a_service_that_does_not_start_takes_the_installation_back() {
    let host = Host::boot();
    let clean = host.listing();
    // An address of documentation, which no host has: the file can be read, the port looked at, nothing be listened on.
    unlucky(&host, UNITS[0], "listen = \"192.0.2.1:8443\"\n");
    unlucky(&host, UNITS[1], "listen = \"192.0.2.1:7070\"\n");
    unlucky(&host, UNITS[1], "lissten = \"[::]:7070\"\n");
    assert_eq!(clean.diff(&host.listing()), "");
    // The same host, once nothing is in the way.
    expect(&host.cairn(["--yes"]), 0, "is installed");
    host.assert_healthy();
    a_repair_that_fails_leaves_services_running(&host);
    let user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];
    let tool = "/opt/cairn/current/bin/cairnctl";
    let [a, b, c, d] = user;
    expect(&host.run([a, b, c, d, tool, "uninstall", "--yes"]), 3, "run it again as root");
    host.assert_healthy();
    // One that failed is removed as well.
    host.0.write("/etc/cairn/agent.toml", 0o644, "lissten = 1\n").unwrap();
    assert!(!host.run(["systemctl", "restart", UNITS[1]]).success());
    assert_eq!(host.show(UNITS[1], "ActiveState"), "failed", "it is not started again and again");
    expect(&host.cairn(["uninstall", "--yes", "--purge"]), 0, "uninstalled");
    host.assert_nothing_runs();
    assert_eq!(clean.diff(&host.listing()), "");
}

fn unlucky(host: &Host, unit: &str, configuration: &str) {
    let name = unit.trim_start_matches("cairn-").trim_end_matches(".service");
    let file = format!("/etc/cairn/{name}.toml");
    host.0.write(&file, 0o644, configuration).unwrap();
    let before = host.listing();
    let said = expect(&host.cairn(["--yes"]), 6, "everything was put back as it was");
    assert!(said.contains(&format!("failed: start {unit}")), "{said}");
    assert!(said.contains(&format!("journalctl --unit {unit}")), "{said}");
    assert!(said.contains("it said `cairn-"), "the service's own words are missing: {said}");
    assert_eq!(host.changes_since(&before), [""; 0]);
    host.assert_nothing_runs();
    let log = host.says(["journalctl", "--unit", unit, "--output=cat"]);
    assert!(!log.is_empty(), "what the message points to is there");
    host.says(["rm", "-r", "/etc/cairn"]);
}

fn a_repair_that_fails_leaves_services_running(host: &Host) {
    host.0.write("/etc/cairn/agent.toml", 0o644, "listen = \"192.0.2.1:7070\"\n").unwrap();
    host.says(["rm", "/opt/cairn/current/share/dashboard/app.js"]);
    let before = host.listing();
    // The agent would not start again with this configuration, so it cannot be put back either, and this is said.
    let said = expect(&host.cairn(["--yes"]), 7, "not everything could be put back");
    assert!(
        said.contains("cannot start cairn-agent.service again: it said `cairn-agent: cannot listen"),
        "{said}"
    );
    // Kept for another try.
    assert_eq!(paths(&host.changes_since(&before).join("\n")), ["+ /var/lib/.cairn-journal"]);
    assert_eq!(host.run(["systemctl", "is-active", UNITS[0]]).stdout_text(), "active");
    host.0.write("/etc/cairn/agent.toml", 0o644, "").unwrap();
    let said = expect(&host.cairn(["--yes"]), 0, "is installed");
    assert!(said.contains("was interrupted at `start cairn-agent.service`"), "{said}");
    assert!(!host.has("/var/lib/.cairn-journal"));
    host.assert_healthy();
}
