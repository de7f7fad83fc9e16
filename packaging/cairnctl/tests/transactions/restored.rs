//! Backups as files, and what becomes of an installation that one is restored to.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;

use crate::stage::{INSTALL, Stage, UPGRADE, Verb};

pub const RESTORE: Verb = Verb { version: None, words: &["restore", "latest"] };
const TO_1_1: Verb = Verb { version: Some("1.1"), words: &["upgrade"] };

/// What is changed after the backup was made, and what it was before.
const CHANGED: [(&str, &str); 3] = [
    ("var/lib/cairn/server/admin.json", "{}\n"),
    ("etc/cairn/server.toml", "# default of 2.0\n"),
    ("etc/cairn/tls/agent.pem", ""),
];

impl Stage {
    /// The backups that are files, by name.
    fn backups(&self) -> Vec<PathBuf> {
        let found = self.json(&["backup", "list"], 0);
        let found = found["backups"].as_array().unwrap().iter();
        let files = found.filter(|backup| backup["configuration"] == true);
        files.map(|backup| PathBuf::from(backup["path"].as_str().unwrap())).collect()
    }
}

/// What is in a gzip member; nothing if it is damaged.
fn unpacked(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    GzDecoder::new(file).read_to_end(&mut content).ok().map(|_| content)
}

/// An installation with a backup, and with changes since.
pub fn with_a_backup() -> Stage {
    let stage = Stage::after(&[INSTALL, UPGRADE]);
    stage.ask(&["backup"]).expect(0);
    for (path, _) in CHANGED {
        fs::write(stage.at(path), "changed since\n").unwrap();
    }
    fs::write(stage.at("var/lib/cairn/server/cairn.db-wal"), "a log of later").unwrap();
    fs::write(stage.at("var/lib/cairn/server/later"), "stays").unwrap();
    stage
}

#[test]
fn what_was_changed_since_is_gone_and_kept_in_a_backup_of_its_own() {
    let stage = with_a_backup();
    let before = stage.listing();
    stage
        .run(RESTORE, &["--dry-run"], "")
        .expect(0)
        .says("every byte as it was kept")
        .says("differs: ")
        .says("etc/cairn/server.toml\n")
        .says("restore the server's data from ");
    assert_eq!(before.diff(&stage.listing()), "");

    stage.run(RESTORE, &[], "").expect(0).says("migrate the database ... ok");
    for (path, content) in CHANGED {
        let found = fs::read_to_string(stage.at(path)).unwrap();
        assert!(found != "changed since\n" && (content.is_empty() || found == content), "{path}: {found}");
    }
    assert_eq!(fs::read_to_string(stage.at("var/lib/cairn/server/cairn.db")).unwrap(), "3\n");
    assert!(!stage.at("var/lib/cairn/server/cairn.db-wal").exists());
    assert!(stage.at("var/lib/cairn/server/later").exists());
    stage.ask(&["status"]).expect(0);

    // There and back: what was there before is in a backup too.
    let kept = stage.at("var/lib/cairn/backups/before-restore-1.tar.gz");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let back = Verb { version: None, words: &["restore", "before-restore-1.tar.gz"] };
    stage.run(back, &[], "").expect(0);
    for (path, _) in CHANGED {
        assert_eq!(fs::read_to_string(stage.at(path)).unwrap(), "changed since\n", "{path}");
    }
}

#[test]
fn the_oldest_of_what_was_there_before_go() {
    let stage = with_a_backup();
    let backup = stage.backups().remove(0).file_name().unwrap().to_str().unwrap().to_owned();
    let kept = || {
        let names = fs::read_dir(stage.at("var/lib/cairn/backups")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("before-restore-")).collect();
        names.sort();
        names
    };
    let restore = |more: &[&str]| stage.ask(&[&["restore", &backup, "--yes"], more].concat()).expect(0);
    for _ in 0..3 {
        restore(&[]);
    }
    assert_eq!(kept(), [1, 2, 3].map(|number| format!("before-restore-{number}.tar.gz")));
    restore(&["--dry-run"]).says("removed when all is done: ").says("before-restore-1.tar.gz");
    assert_eq!(kept().len(), 3);
    // One that fails keeps all that there was.
    stage.faulty(&["restore", &backup, "--yes"], "error:8").expect(6);
    assert_eq!(kept(), [1, 2, 3].map(|number| format!("before-restore-{number}.tar.gz")));
    restore(&[]);
    assert_eq!(kept(), [2, 3, 4].map(|number| format!("before-restore-{number}.tar.gz")));
    // What `backup` names itself is no part of it, and the other way round.
    stage.ask(&["backup", "--keep", "1"]).expect(0);
    assert_eq!((kept().len(), stage.backups().len()), (3, 4));
}

#[test]
fn a_backup_is_one_private_file_and_the_oldest_go() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    stage.ask(&["backup", "--dry-run"]).expect(0).says("back up to ");
    assert!(stage.backups().is_empty());
    for count in 1..=3 {
        stage.ask(&["backup"]).expect(0).says("keys and the password's hash");
        assert_eq!(stage.backups().len(), count);
    }
    let old = stage.backups();
    assert_eq!(stage.json(&["backup", "--keep", "2"], 0)["steps"].as_array().unwrap().len(), 3);
    let left = stage.backups();
    assert!(left.len() == 2 && left[0] == old[2], "{old:?}\n{left:?}");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&left[0]), mode(&stage.at("var/lib/cairn/backups"))), (0o600, 0o700));
    // Other files in the same place are nobody's business, and nothing passing is left.
    let names = fs::read_dir(stage.at("var/lib/cairn/backups")).unwrap().count();
    assert_eq!(names, 3, "two, and the copy of the upgrade");
    let folder = stage.at("elsewhere");
    stage.ask(&["backup", "--to", folder.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(stage.backups().len(), 2);
    stage.ask(&["status"]).expect(0).says("backups: 3, the last one ");
}

#[test]
fn damage_is_found_before_anything_is_changed() {
    let stage = with_a_backup();
    let file = stage.backups().remove(0);
    let whole = fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let restore = |name: &str| stage.faulty(&["restore", name, "--yes"], "");
    let before = stage.listing();
    let content = unpacked(&whole);
    let mut damaged = 0;
    // Each part of it: its head, its middle, the checksum behind, the end.
    for at in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 8, whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        // Some bits are nobody's content: those of a time in gzip's head, and those that say of zeros which earlier zeros they repeat.
        if unpacked(&bytes) == content {
            continue;
        }
        damaged += 1;
        fs::write(&file, bytes).unwrap();
        let done = restore(name);
        assert!(done.code == Some(2), "a flipped bit at {at}: {}", done.said);
        assert_eq!(before.diff(&stage.listing()), "");
    }
    assert!(damaged >= 30, "{damaged} of the flipped bits alter what is kept");
    fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    restore(name).expect(2).says("something stands behind its end");
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        restore(name).expect(2).says("is no whole backup");
    }
    fs::write(&file, whole).unwrap();
    restore("not-here.tar.gz").expect(1).says("cairnctl backup list");
    restore("1-1.0").expect(1).says("rollback --restore-backup");
    assert_eq!(before.diff(&stage.listing()), "");
    restore(name).expect(0);
}

#[test]
fn what_the_installed_version_cannot_read_is_refused() {
    let newer = with_a_backup();
    let folder = newer.at("elsewhere");
    newer.ask(&["backup", "--to", folder.to_str().unwrap()]).expect(0);
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    for (stage, known) in [(Stage::after(&[INSTALL]), 2), (Stage::after(&[INSTALL, TO_1_1]), 2)] {
        let before = stage.listing();
        let refused = stage.faulty(&["restore", file.to_str().unwrap(), "--yes"], "").expect(8);
        refused.says("has migration 3").says(&format!("knows {known}; upgrade first"));
        assert_eq!(before.diff(&stage.listing()), "");
    }
    // A configuration that it would not take.
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    fs::write(stage.at("etc/cairn/server.toml"), "bad = 1\n").unwrap();
    stage.ask(&["backup"]).expect(0);
    stage.run(RESTORE, &[], "").expect(8).says("does not take the configuration").says("`bad`");
}

#[test]
fn the_first_releases_are_backed_up_while_they_do_not_run() {
    let stage = Stage::after(&[INSTALL]);
    let lock = stage.at("var/lib/cairn/server/cairn.db.lock");
    fs::write(&lock, "").unwrap();
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    stage.ask(&["backup"]).expect(5).says("stop it first: `cairnctl stop server`");
    assert!(stage.backups().is_empty());
    drop(held);
    stage.ask(&["backup"]).expect(0);
    fs::write(stage.at("var/lib/cairn/server/cairn.db"), "later").unwrap();
    stage.run(RESTORE, &[], "").expect(0);
    assert_eq!(fs::read_to_string(stage.at("var/lib/cairn/server/cairn.db")).unwrap(), "2\n");
}
