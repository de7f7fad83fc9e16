//! A tree that was extracted first: its two scripts, and damage in it.

use std::fs;
use std::path::PathBuf;

use crate::site::{Done, Run as _, Site, plain};

fn extracted() -> (Site, PathBuf) {
    let site = Site::new();
    site.run(&["extract", "a tree"]).expect(0);
    let tree = site.beside("a tree");
    (site, tree)
}

fn script(site: &Site, script: &PathBuf, more: &[&str]) -> Done {
    plain(script).arg("--root").arg(site.root()).arg("--yes").args(more).current_dir("/").done()
}

#[test]
fn its_scripts_install_and_uninstall() {
    let (site, tree) = extracted();
    let from_file = Site::installed(&[]);
    script(&site, &tree.join("install.sh"), &["--no-start"]).expect(0).says("is installed");
    let archive = |path: &str| path.starts_with("/var/lib/cairn/archives/");
    let modes = |site: &Site| site.modes().into_iter().filter(|(path, _)| !archive(path)).collect::<Vec<_>>();
    assert_eq!(modes(&site), modes(&from_file), "only the archive itself is not there");
    site.ctl("verify").expect(0);
    script(&site, &tree.join("install.sh"), &["--no-start"]).expect(0).says("nothing to do");
    // Through the link that is always there, as an operator would call it.
    script(&site, &site.at("/opt/cairn/current/uninstall.sh"), &["--purge"]).expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}

#[test]
fn a_role_leaves_the_rest_of_the_tree() {
    let (site, tree) = extracted();
    script(&site, &tree.join("install.sh"), &["--no-start", "--role", "agent"]).expect(0);
    site.ctl("verify").expect(0);
    assert!(!site.version_folder().join("bin/cairn-server").exists());
    script(&site, &tree.join("uninstall.sh"), &["--purge"]).expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}

#[test]
fn a_damaged_tree_is_refused() {
    let (site, tree) = extracted();
    let before = site.listing();
    let hurt = |name: &str| {
        let file = tree.join(name);
        let bytes = fs::read(&file).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        fs::write(&file, damaged).unwrap();
        let done = script(&site, &tree.join("install.sh"), &["--no-start"]).expect(2);
        assert!(done.err.contains(name) && done.err.contains("extract again"), "{}", done.err);
        fs::write(&file, bytes).unwrap();
    };
    for name in ["bin/cairn-server", "share/dashboard/app.js", "systemd/cairn-agent.service"] {
        hurt(name);
    }
    fs::remove_file(tree.join("etc/server.toml")).unwrap();
    script(&site, &tree.join("install.sh"), &["--no-start"]).expect(2).says("etc/server.toml");
    fs::write(tree.join("manifest.json"), "{}").unwrap();
    script(&site, &tree.join("install.sh"), &["--no-start"]).expect(2).says("manifest.json");
    assert_eq!(before.diff(&site.listing()), "");
}
