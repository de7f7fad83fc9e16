//! Uninstalling: what goes, what stays and is named, and coming back over what stayed.

use std::collections::BTreeMap;
use std::fs;

use xtask_testbed::Listing;

use crate::site::{Run as _, Site, plain};

/// The data that an installation with both roles leaves, folders with all that is in them.
const DATA: [&str; 4] = [
    "/etc/cairn/tls",
    "/var/lib/cairn/admin-password",
    "/var/lib/cairn/server",
    "/var/lib/cairn/receipt.json",
];

#[test]
fn only_named_data_stays_and_a_purge_takes_it_too() {
    let site = Site::new();
    let before = site.listing();
    site.install(&[]).expect(0);
    let removed = site.uninstall(&[]).expect(0).says("uninstalled");
    for path in DATA {
        assert!(
            removed.out.contains(&format!("keep {}:", site.at(path).display())),
            "{path} in {}",
            removed.out
        );
    }
    for (path, _) in site.listing().entries() {
        let above_data =
            DATA.iter().any(|data| path.starts_with(data) || std::path::Path::new(data).starts_with(path));
        assert!(above_data, "{} was left", path.display());
    }

    let kept = site.untouched();
    site.uninstall(&[]).expect(0).says("nothing to do").says("--purge");
    assert_eq!(site.untouched(), kept);
    site.uninstall(&["--purge"]).expect(0);
    assert_eq!(before.diff(&site.listing()), "");
    site.uninstall(&[]).expect(0).says("nothing to do");
    site.uninstall(&["--purge"]).expect(0).says("nothing to do");
}

#[test]
fn a_purge_at_once_leaves_the_root_as_it_was() {
    let site = Site::new();
    site.write(&site.at("/etc/systemd/system/other.service"), 0o644, "");
    site.write(&site.at("/var/lib/other"), 0o600, "");
    let before = site.listing();
    site.install(&[]).expect(0);
    site.write(&site.at("/etc/cairn/server.toml"), 0o644, "session_hours = 1\n");
    site.write(&site.at("/etc/cairn/notes"), 0o644, "");
    site.write(&site.at("/var/lib/cairn/volumes/a/b"), 0o644, "");
    site.write(&site.at("/var/log/cairn/log"), 0o644, "");
    site.write(&site.at("/etc/systemd/system/cairn-agent.service.d/x.conf"), 0o644, "");
    site.uninstall(&["--purge"]).expect(0);
    assert_eq!(before.diff(&site.listing()), "");
}

#[test]
fn a_root_that_was_made_goes_with_the_purge() {
    let site = Site::new();
    fs::remove_dir(site.root()).unwrap();
    site.install(&[]).expect(0);
    site.uninstall(&[]).expect(0);
    site.uninstall(&["--purge"]).expect(0);
    assert!(!site.root().exists());
    site.uninstall(&[]).expect(0).says("nothing to do");
    assert!(!site.root().exists(), "a removal makes no root");
    assert_eq!(Listing::of(&site.beside(""), &[]).unwrap().entries().count(), 0);
}

#[test]
fn reinstalling_keeps_certificates_and_the_password() {
    let site = Site::installed(&[]);
    let secrets = |site: &Site| -> BTreeMap<String, Vec<u8>> {
        let paths = site.listing();
        let files = paths.entries().map(|(path, _)| path.to_str().unwrap().to_owned());
        let wanted = files.filter(|path| path.starts_with("/etc/cairn/tls/") || path.contains("admin"));
        wanted.map(|path| (path.clone(), fs::read(site.at(&path)).unwrap())).collect()
    };
    let first = secrets(&site);
    assert_eq!(first.len(), 10, "{:?}", first.keys());
    site.uninstall(&[]).expect(0);
    let again = site.install(&[]).expect(0).says("log in     as admin with the password set earlier");
    assert!(!again.out.contains("admin-password"), "{}", again.out);
    assert_eq!(secrets(&site), first);
    site.uninstall(&["--purge"]).expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}

#[test]
fn changed_configuration_is_the_operators() {
    let site = Site::installed(&[]);
    let file = site.at("/etc/cairn/server.toml");
    site.write(&file, 0o640, "listen = \"[::]:9443\"\n");
    let changed = site.untouched();
    site.install(&[]).expect(0).says(&format!("keep {}, which differs", file.display()));
    assert_eq!(site.untouched(), changed);
    site.ctl("verify").expect(0).says("server.toml was changed by the operator");
    site.uninstall(&[]).expect(0).says(&format!("keep {}: was changed by the operator", file.display()));
    assert!(!site.at("/etc/cairn/agent.toml").exists());
    let again = site.install(&[]).expect(0).says(":9443/");
    assert!(again.out.contains(&format!("keep {}", file.display())), "{}", again.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), "listen = \"[::]:9443\"\n");
}

#[test]
fn a_dry_run_and_a_missing_terminal_remove_nothing() {
    let site = Site::installed(&[]);
    let before = site.untouched();
    let tool = site.at("/opt/cairn/current/bin/cairnctl");
    let mut dry = plain(&tool);
    dry.args(["uninstall", "--dry-run", "--root"])
        .arg(site.root())
        .done()
        .expect(0)
        .says("plan:")
        .says("remove ");
    let mut asks = plain(&tool);
    asks.args(["uninstall", "--root"]).arg(site.root()).done().expect(1).says("add --yes");
    assert_eq!(site.untouched(), before);
}
