//! Damage of what is installed: found by `verify`, mended by installing again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::site::Site;

#[test]
fn damage_is_named_and_mended() {
    let site = Site::installed(&[]);
    let healthy = site.listing();
    let folder = site.version_folder();
    let damage: [(&str, &dyn Fn()); 6] = [
        ("cairn-server was changed", &|| fs::write(folder.join("bin/cairn-server"), "x").unwrap()),
        ("index.html is missing", &|| fs::remove_file(folder.join("share/dashboard/index.html")).unwrap()),
        ("extra does not belong there", &|| fs::write(folder.join("bin/extra"), "").unwrap()),
        ("has another mode than 0644", &|| {
            let file = folder.join("etc/server.toml");
            fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("current does not point at", &|| {
            fs::remove_file(site.at("/opt/cairn/current")).unwrap();
            std::os::unix::fs::symlink("versions/none", site.at("/opt/cairn/current")).unwrap();
        }),
        ("cairn-agent.service is missing", &|| {
            fs::remove_file(site.at("/etc/systemd/system/cairn-agent.service")).unwrap();
        }),
    ];
    for (words, hurt) in damage {
        hurt();
        let tool = folder.join("bin/cairnctl");
        let mut verify = crate::site::plain(tool);
        let done =
            crate::site::Run::done(verify.args(["verify", "--root"]).arg(site.root())).expect(2).says(words);
        assert!(done.err.contains("install the same version again to mend it"), "{}", done.err);
        site.install(&[]).expect(0);
        site.ctl("verify").expect(0);
        assert_eq!(healthy.diff(&site.listing()), "", "{words}");
    }
}

#[test]
fn what_is_missing_of_secrets_is_made_again_and_nothing_else() {
    let site = Site::installed(&[]);
    let kept = fs::read(site.at("/etc/cairn/tls/ca.pem")).unwrap();
    for name in ["agent.pem", "agent.key"] {
        fs::remove_file(site.at("/etc/cairn/tls").join(name)).unwrap();
    }
    site.install(&[]).expect(0).says("create secrets and certificates of cairn-server ... ok");
    assert!(site.at("/etc/cairn/tls/agent.key").exists());
    assert_eq!(fs::read(site.at("/etc/cairn/tls/ca.pem")).unwrap(), kept);
}

#[test]
fn an_archive_that_is_gone_is_kept_again() {
    let site = Site::installed(&[]);
    let kept = site.at("/var/lib/cairn/archives").join(format!("{}.run", crate::site::version()));
    fs::write(&kept, "damaged").unwrap();
    site.install(&[]).expect(0).says("keep the archive as");
    site.command(&["verify"]).arg(&kept).output().map(|output| assert!(output.status.success())).unwrap();
}
