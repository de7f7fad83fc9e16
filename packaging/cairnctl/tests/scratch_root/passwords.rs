//! The administrator's password: where it comes from, and where it must never be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use argon2::password_hash::{PasswordHash, PasswordVerifier as _};

use crate::interrupted::Blocked;
use crate::site::Site;

/// Whether the installed server would let the administrator in with this password.
pub fn opens(site: &Site, password: &str) -> bool {
    let json = fs::read_to_string(site.at("/var/lib/cairn/server/admin.json")).unwrap();
    let (_, hash) = json.split_once("\"password_hash\":\"").unwrap();
    let hash = hash.split('"').next().unwrap();
    argon2::Argon2::default().verify_password(password.as_bytes(), &PasswordHash::new(hash).unwrap()).is_ok()
}

#[test]
fn an_unattended_installation_puts_it_into_a_file() {
    let site = Site::new();
    let done = site.install(&[]).expect(0).says("the password is in ");
    let file = site.at("/var/lib/cairn/admin-password");
    let password = fs::read_to_string(&file).unwrap().trim_end().to_owned();
    assert!(opens(&site, &password) && !opens(&site, "another"));
    assert_eq!(site.files_with(&password), [file]);
    assert!(!done.out.contains(&password) && !done.err.contains(&password));
    for name in ["ca", "server", "agent", "server-client"] {
        let key = fs::read_to_string(site.at(&format!("/etc/cairn/tls/{name}.key"))).unwrap();
        let line = key.lines().nth(1).unwrap();
        assert!(!done.out.contains(line) && !done.err.contains(line));
    }
}

#[test]
fn the_operators_own_is_used_and_never_shown() {
    let site = Site::new();
    let (file, password) = (site.beside("secret"), "correct horse battery");
    site.write(&file, 0o600, &format!("{password}\nanother line\n"));
    let blocked = Blocked::install(&site, &["--admin-password-file", file.to_str().unwrap()]);
    for (name, text) in blocked.processes() {
        assert!(!text.contains(password), "{name} carries the password");
    }
    let done = blocked.release().expect(0);
    assert!(!done.out.contains(password) && !done.out.contains("the password is in"), "{}", done.out);
    assert!(!done.err.contains(password));
    assert!(opens(&site, password));
    assert_eq!(site.files_with(password), [file]);
    assert!(!site.at("/var/lib/cairn/admin-password").exists());
    let install = site.install(&["--admin-password-file", "secret"]).expect(0);
    assert!(install.out.contains("nothing to do"));
    site.uninstall(&[]).expect(0);
    site.write(&site.beside("secret"), 0o600, "another password\n");
    site.install(&["--admin-password-file", "secret"]).expect(0).says("the one given now was not used");
    assert!(opens(&site, password));
}

#[test]
fn a_file_that_cannot_be_used_is_refused_before_anything_is_done() {
    let site = Site::new();
    let before = site.untouched();
    let file = site.beside("secret");
    let refused = |words: &str| {
        let done = site.install(&["--admin-password-file", "secret"]).expect(1).says(words);
        assert_eq!(done.out, "");
        assert_eq!(site.untouched(), before);
    };
    refused("cannot be read");
    for (content, words) in
        [("", "10 to 1024"), ("\nlong enough though\n", "10 to 1024"), ("too short\n", "10 to 1024")]
    {
        site.write(&file, 0o600, content);
        refused(words);
    }
    site.write(&file, 0o600, &"x".repeat(1025));
    refused("10 to 1024");
    site.write(&file, 0o600, "long enough now\n");
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        refused("can be read by others; run chmod 600 on it");
    }
}
