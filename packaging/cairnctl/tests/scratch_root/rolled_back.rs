//! Steps that fail: exit code 6, and the root as before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::site::{Done, Site};

#[track_caller]
fn rolled_back(site: &Site) -> Done {
    let before = site.listing();
    let done = site.install(&[]).expect(6).says("everything was put back as it was");
    assert_eq!(before.diff(&site.listing()), "");
    done
}

#[test]
fn a_file_where_a_step_wants_a_folder() {
    for path in ["/opt/cairn/versions", "/var/lib/cairn/archives"] {
        let site = Site::new();
        site.write(&site.at(path), 0o600, "mine");
        rolled_back(&site).says(&format!("{}` is not a folder", site.at(path).display()));
    }
}

#[test]
fn a_folder_where_a_step_wants_a_file_or_a_link() {
    for path in
        ["/opt/cairn/current", "/etc/systemd/system/cairn-server.service", "/var/lib/cairn/admin-password"]
    {
        let site = Site::new();
        fs::create_dir_all(site.at(path)).unwrap();
        if path.ends_with("admin-password") {
            // Moved out of the way, as anything of that name would be, and back.
            site.install(&[]).expect(0);
            continue;
        }
        rolled_back(&site).says(&site.at(path).display().to_string());
    }
}

#[test]
fn half_a_pair_of_the_authority() {
    let site = Site::new();
    site.write(&site.at("/etc/cairn/tls/ca.pem"), 0o644, "");
    rolled_back(&site).says("ca.key").says("failed: create secrets and certificates of cairn-server");
}

#[test]
fn configuration_from_before_that_is_wrong() {
    let site = Site::new();
    site.write(&site.at("/etc/cairn/server.toml"), 0o644, "lissten = \"[::]:8443\"\n");
    rolled_back(&site).says("server.toml").says("lissten");
}

#[test]
fn a_folder_that_takes_no_files() {
    let site = Site::new();
    // A link to nowhere: preflight looks at other folders.
    fs::create_dir_all(site.at("/var/lib/cairn")).unwrap();
    std::os::unix::fs::symlink("/proc/self/nowhere", site.at("/var/lib/cairn/archives")).unwrap();
    rolled_back(&site);
}

#[test]
fn a_repair_that_fails_leaves_the_damage_as_it_was() {
    let site = Site::installed(&[]);
    fs::write(site.version_folder().join("share/dashboard/app.js"), "damaged").unwrap();
    fs::remove_file(site.at("/etc/cairn/tls/server.pem")).unwrap();
    fs::set_permissions(site.at("/etc/cairn/agent.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    rolled_back(&site).says("server.pem");
    site.ctl("verify").expect(2).says("app.js was changed");
}
