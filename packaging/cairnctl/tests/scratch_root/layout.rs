//! What lies where after an installation, and that a second one writes nothing.

use std::fs;

use crate::site::{Site, version};

#[test]
fn everything_lies_where_it_should_with_its_mode() {
    let site = Site::installed(&[]);
    let modes = site.modes();
    let mode = |path: &str| *modes.get(path).unwrap_or_else(|| panic!("no {path} in {modes:#?}"));
    let name = version();
    let version = format!("/opt/cairn/versions/{name}");
    for program in ["cairnctl", "cairn-server", "cairn", "cairn-agent"] {
        assert_eq!(mode(&format!("{version}/bin/{program}")), 0o755);
    }
    for file in
        ["manifest.json", "etc/server.toml", "systemd/cairn-agent.service", "share/dashboard/index.html"]
    {
        assert_eq!(mode(&format!("{version}/{file}")), 0o644, "{file}");
    }
    let link = fs::read_link(site.at("/opt/cairn/current")).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("versions/{name}"));
    for file in ["/etc/cairn/server.toml", "/etc/cairn/agent.toml", "/var/lib/cairn/receipt.json"] {
        assert_eq!(mode(file), 0o644, "{file}");
    }
    for unit in ["cairn-server.service", "cairn-agent.service"] {
        assert_eq!(mode(&format!("/etc/systemd/system/{unit}")), 0o644);
    }
    assert_eq!(mode(&format!("/var/lib/cairn/archives/{name}.run")), 0o755);
    for folder in ["/opt/cairn", "/etc/cairn", "/var/lib/cairn", &version] {
        assert_eq!(mode(folder), 0o755, "{folder}");
    }
    assert_eq!(mode("/var/log/cairn"), 0o750);
    for folder in ["/etc/cairn/tls", "/var/lib/cairn/server", "/var/lib/cairn/agent"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for secret in ["tls/ca.key", "tls/server.key", "tls/server-client.key", "tls/agent.key"] {
        assert_eq!(mode(&format!("/etc/cairn/{secret}")), 0o600, "{secret}");
    }
    for secret in ["server/admin.json", "admin-password"] {
        assert_eq!(mode(&format!("/var/lib/cairn/{secret}")), 0o600, "{secret}");
    }
    assert!(modes.keys().all(|path| !path.contains("/.")), "something hidden was left: {modes:#?}");
    site.ctl("verify").expect(0).says("is installed as it was packed");
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let site = Site::new();
    let mut command = crate::site::plain("sh");
    let line = "umask 0077 && exec sh \"$1\" --root \"$2\" --no-start --yes";
    command.args(["-c", line, "sh"]).arg(crate::support::run_file()).arg(site.root());
    crate::site::Run::done(&mut command).expect(0);
    assert_eq!(site.modes(), Site::installed(&[]).modes());
}

#[test]
fn a_second_installation_writes_nothing_and_says_so() {
    let site = Site::installed(&[]);
    let before = site.untouched();
    let again = site.install(&[]).expect(0).says("is already installed; nothing to do");
    assert_eq!((again.out.lines().count(), again.err.as_str()), (1, ""));
    assert_eq!(site.untouched(), before);
    assert_eq!(site.install(&["--quiet"]).expect(0).out, "");
}

#[test]
fn a_role_gets_what_it_needs_and_no_more() {
    for (role, other) in [("server", "agent"), ("agent", "server")] {
        let site = Site::installed(&["--role", role]);
        let modes = site.modes();
        let of = |name: &str| {
            [
                format!("/opt/cairn/versions/{}/bin/cairn-{name}", version()),
                format!("/etc/systemd/system/cairn-{name}.service"),
                format!("/etc/cairn/{name}.toml"),
                format!("/var/lib/cairn/{name}"),
            ]
        };
        for path in of(role) {
            assert!(modes.contains_key(&path), "{role}: no {path}");
        }
        let foreign =
            modes.keys().filter(|path| path.contains(&format!("/cairn-{other}")) || of(other).contains(path));
        assert_eq!(foreign.collect::<Vec<_>>(), [""; 0], "{role}");
        let dashboard = modes.keys().any(|path| path.ends_with("/dashboard"));
        assert_eq!(dashboard, role == "server");
        assert_eq!(site.at("/etc/cairn/tls/ca.key").exists(), role == "server");
        assert!(!site.at("/etc/cairn/tls/agent.key").exists());
        site.ctl("verify").expect(0);
        site.install(&["--role", role]).expect(0).says("nothing to do");
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let site = Site::new();
    let root = site.root();
    let words = ["--root", root.to_str().unwrap(), "--no-start", "--dry-run"];
    let before = site.untouched();
    let plan = site.run(&words).expect(0).says("plan for cairn");
    assert!(plan.out.contains("create secrets and certificates of cairn-server"), "{}", plan.out);
    assert_eq!(site.untouched(), before);
    let elsewhere = site.beside("not/there/yet");
    site.run(&["--root", elsewhere.to_str().unwrap(), "--no-start", "--dry-run"]).expect(0);
    assert!(!site.beside("not").exists());
}
