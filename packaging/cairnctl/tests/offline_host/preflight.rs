//! What an operator learns before installing.

use crate::host::{FILE, Host, expect};

/// The checks that scripts may rely on.
const CHECKS: [&str; 23] = [
    "root",
    "systemd",
    "architecture",
    "os",
    "glibc",
    "kernel",
    "memory",
    "clock",
    "security-module",
    "host-name",
    "conflicts",
    "writable",
    "space",
    "inodes",
    "executable",
    "executable-scratch",
    "direct-io",
    "port",
    "tun",
    "kvm",
    "qemu",
    "qemu-img",
    "libvirt",
];

/// All checks at once, each with what was seen, and with a remedy unless it passed; nothing is left on the host.
pub fn tells_everything(host: &Host) {
    let before = host.listing();
    let text = expect(&host.cairn(["preflight"]), 0, "0 failed");
    for check in CHECKS {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(check));
        let line = line.unwrap_or_else(|| panic!("no {check} in:\n{text}"));
        assert!(line.split_whitespace().count() > 2, "{check} says nothing: {line}");
    }
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[0].trim_start().starts_with("WARN")) {
        assert!(pair[1].trim_start().starts_with("remedy: "), "no remedy: {}", pair[0]);
    }
    for evidence in [
        "systemd 252",
        "x86_64",
        "Debian GNU/Linux 12 (bookworm)",
        "8443 (server) is free",
        "7070 (agent) is free",
        "; cache mode `auto` becomes `none`",
        "there is no `qemu-system-x86_64`",
        "holds neither `virtqemud-sock` nor `libvirt-sock`",
        "/dev/kvm",
        "vmx",
        "on the overlay at `/`",
    ] {
        assert!(text.contains(evidence), "no `{evidence}` in:\n{text}");
    }
    let needed = host.run(["sh", FILE, "preflight"]);
    let needed = expect(&needed, 3, "FAIL  qemu ");
    assert!(needed.contains("or add `--no-packages` to do without for now"), "{needed}");
    let json = host.cairn(["preflight", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let checks = json["checks"].as_array().unwrap();
    for check in checks {
        let (state, remedy) = (check["state"].as_str().unwrap(), check["remedy"].as_str());
        assert!(
            !check["evidence"].as_str().unwrap().is_empty() && !check["group"].as_str().unwrap().is_empty()
        );
        assert_eq!(remedy.is_none(), state == "pass", "{check}");
    }
    assert!(CHECKS.iter().all(|name| checks.iter().any(|check| check["name"] == *name)));
    assert_eq!(before.diff(&host.listing()), "");
}

/// A port that is taken: refused before anything is done, with who has it; another one in the configuration goes.
pub fn refuses_a_taken_port(host: &Host) {
    // systemd itself listens, and does so when this returns.
    host.says(["systemd-run", "--quiet", "--unit=taken", "--socket-property=ListenStream=8443", "/bin/true"]);
    let before = host.listing();
    let said = expect(&host.cairn(["install", "--yes"]), 3, "FAIL  port");
    assert!(said.contains("8443 (server) is held by `systemd` (pid 1)"), "{said}");
    assert!(
        said.contains("`listen` in /etc/cairn/server.toml") && said.contains("mend what is marked FAIL"),
        "{said}"
    );
    assert_eq!(before.diff(&host.listing()), "");
    host.0.write("/etc/cairn/server.toml", 0o644, "listen = \"[::]:9443\"\n").unwrap();
    expect(&host.cairn(["preflight"]), 0, "9443 (server) is free");
    host.says(["rm", "-r", "/etc/cairn"]);
    host.says(["systemctl", "stop", "taken.socket"]);
    assert_eq!(before.diff(&host.listing()), "");
}

/// Not root: told once, and nothing is done.
pub fn refuses_an_ordinary_user(host: &Host) {
    let words = [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "sh",
        "/tmp/cairn.run",
        "install",
        "--yes",
    ];
    host.says(["cp", FILE, "/tmp/cairn.run"]);
    expect(&host.run(words), 3, "run it again as root");
    host.says(["rm", "/tmp/cairn.run"]);
}
