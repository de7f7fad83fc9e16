//! Upgrades and ways back that nobody disturbs: what becomes of programs, data, configuration and the record, and what is
//! refused.

use std::fs;
use std::path::PathBuf;

use crate::stage::{INSTALL, PURGE, ROLLBACK, Stage, UNINSTALL, UPGRADE, Verb};

const TO_1_1: Verb = Verb { version: Some("1.1"), words: &["upgrade"] };
const TO_BROKEN: Verb = Verb { version: Some("broken"), words: &["upgrade"] };
const TO_1_0: Verb = Verb { version: Some("1.0"), words: &["upgrade"] };
const BACK: Verb = Verb { version: None, words: &["rollback"] };

impl Stage {
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn current(&self) -> PathBuf {
        fs::read_link(self.at("opt/cairn/current")).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn an_upgrade_replaces_programs_migrates_and_keeps_a_way_back() {
    let stage = Stage::after(&[INSTALL]);
    stage.run(UPGRADE, &["--dry-run"], "").expect(0).says("migrate the database");
    assert_eq!(stage.current(), PathBuf::from("versions/1.0"));
    stage.run(UPGRADE, &[], "").expect(0).says("cairn 2.0 is installed").says("back to 1.0");
    assert_eq!(stage.current(), PathBuf::from("versions/2.0"));
    assert_eq!(stage.read("var/lib/cairn/server/cairn.db"), "3\n");
    assert_eq!(stage.read("var/lib/cairn/backups/1-1.0/cairn.db"), "2\n");
    assert_eq!(stage.names("opt/cairn/versions"), ["1.0", "2.0"]);
    assert_eq!(stage.names("var/lib/cairn/archives"), ["1.0.run", "2.0.run"]);
    assert!(stage.read("etc/systemd/system/cairn-server.service").contains("2.0"));
    // What only the old version brought is gone.
    assert!(!stage.at("etc/systemd/system/old.service").exists() && !stage.at("etc/cairn/old.toml").exists());
    stage.run(Verb { version: None, words: &["verify"] }, &[], "").expect(1);
    let verify = Verb { version: Some("2.0"), words: &["install", "--no-start"] };
    stage.run(verify, &[], "").expect(0).says("nothing to do");
    stage.run(UPGRADE, &[], "").expect(0).says("nothing to do");
}

#[test]
fn a_way_back_on_demand_and_forth_again() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    // Data that the old version reads is not touched.
    stage.write("var/lib/cairn/server/admin.json", "later");
    stage.run(BACK, &["--dry-run"], "").expect(0).says("rollback of cairn from 1.1 to 1.0");
    stage.run(BACK, &[], "").expect(0).says("cairn 1.0 is installed");
    assert_eq!(stage.current(), PathBuf::from("versions/1.0"));
    assert_eq!(stage.read("var/lib/cairn/server/admin.json"), "later");
    assert!(stage.at("etc/systemd/system/old.service").exists());
    stage.run(BACK, &[], "").expect(0).says("cairn 1.1 is installed");
    // A third version takes the place of the one before the last.
    stage.run(UPGRADE, &[], "").expect(0);
    assert_eq!(stage.names("opt/cairn/versions"), ["1.1", "2.0"]);
    assert_eq!(stage.names("var/lib/cairn/archives"), ["1.1.run", "2.0.run"]);
    assert_eq!(stage.names("var/lib/cairn/backups").len(), 1);
}

#[test]
fn data_that_the_other_version_cannot_read_is_refused_or_restored() {
    let stage = Stage::after(&[INSTALL, UPGRADE]);
    let before = stage.listing();
    for verb in [BACK, TO_1_0, TO_1_1] {
        stage.run(verb, &[], "").expect(8).says("the database has migration 3, and it knows 2");
        assert_eq!(before.diff(&stage.listing()), "");
    }
    stage.write("var/lib/cairn/server/later", "made since");
    stage.run(ROLLBACK, &["--dry-run"], "").expect(0).says("what was done since is lost");
    stage.run(ROLLBACK, &[], "").expect(0);
    assert_eq!(stage.current(), PathBuf::from("versions/1.0"));
    assert_eq!(stage.read("var/lib/cairn/server/cairn.db"), "2\n");
    assert_eq!(stage.read("var/lib/cairn/backups/2-2.0/cairn.db"), "3\n");
    assert_eq!(stage.read("var/lib/cairn/backups/2-2.0/later"), "made since");
}

#[test]
fn an_upgrade_that_fails_returns_by_itself_and_the_database_is_the_same() {
    let stage = Stage::after(&[INSTALL]);
    // As a server leaves it that was killed.
    stage.write("var/lib/cairn/server/cairn.db-wal", "a log that was not written back");
    let before = stage.listing();
    let failed = stage.run(TO_BROKEN, &[], "").expect(6);
    failed.says("failed: migrate the database").says("everything was put back as it was");
    assert_eq!(before.diff(&stage.listing()), "");
}

#[test]
fn what_the_operator_changed_stays_and_a_new_default_comes_beside_it() {
    let stage = Stage::after(&[INSTALL]);
    stage.write("etc/cairn/server.toml", "mine");
    stage.run(UPGRADE, &[], "").expect(0).says("which was changed here; the new default comes beside it");
    assert_eq!(stage.read("etc/cairn/server.toml"), "mine");
    assert_eq!(stage.read("etc/cairn/server.toml.new"), "# default of 2.0\n");
    stage.run(ROLLBACK, &[], "").expect(0).says("which was changed here");
    assert_eq!(stage.read("etc/cairn/server.toml"), "mine");
    assert!(!stage.at("etc/cairn/server.toml.new").exists());
    stage.run(UNINSTALL, &[], "").expect(0).says("server.toml: was changed by the operator");
    assert_eq!(stage.names("etc/cairn"), ["server.toml", "tls"]);
}

#[test]
fn a_removal_takes_both_versions_and_keeps_backups() {
    let stage = Stage::new();
    let bare = stage.listing();
    for verb in [INSTALL, UPGRADE, UNINSTALL] {
        stage.run(verb, &[], "").expect(0);
    }
    assert!(!stage.at("opt").exists() && !stage.at("var/lib/cairn/archives").exists());
    assert_eq!(stage.names("var/lib/cairn/backups"), ["1-1.0"]);
    stage.run(PURGE, &[], "").expect(0);
    assert_eq!(bare.diff(&stage.listing()), "");
}

#[test]
fn what_is_not_there_is_not_upgraded() {
    let stage = Stage::new();
    stage.run(UPGRADE, &[], "").expect(1).says("use the verb `install`");
    stage.run(BACK, &[], "").expect(1);
    stage.run(INSTALL, &[], "").expect(0);
    stage.run(BACK, &[], "").expect(8).says("there is no version to return to");
    let other = Verb { version: Some("2.0"), words: &["install", "--no-start"] };
    stage.run(other, &[], "").expect(8).says("use the verb `upgrade`");
}

#[test]
fn programs_are_told_in_json() {
    let stage = Stage::after(&[INSTALL]);
    let json = |verb, more: &[&str], code| -> serde_json::Value {
        let done = stage.run(verb, &[&["--json"], more].concat(), "").expect(code);
        serde_json::from_str(done.said.lines().next().unwrap()).unwrap()
    };
    let planned = json(UPGRADE, &["--dry-run"], 0);
    assert_eq!(
        (&planned["state"], &planned["from"], &planned["to"]),
        (&"planned".into(), &"1.0".into(), &"2.0".into())
    );
    assert!(planned["steps"].as_array().unwrap().contains(&"migrate the database".into()));
    let failed = json(TO_BROKEN, &[], 6);
    assert_eq!((&failed["state"], &failed["exit"]), (&"failed".into(), &6.into()));
    assert!(failed["error"].as_str().unwrap().contains("migrate"));
    assert_eq!(json(UPGRADE, &[], 0)["state"], "done");
    assert_eq!(json(UPGRADE, &[], 0)["state"], "nothing-to-do");
    assert_eq!(json(BACK, &[], 8)["exit"], 8);
    assert_eq!(json(ROLLBACK, &[], 0)["to"], "1.0");
    assert_eq!(json(UNINSTALL, &["--dry-run"], 0)["state"], "planned");
    assert_eq!(json(UNINSTALL, &[], 0)["state"], "done");
    assert_eq!(json(INSTALL, &[], 0)["state"], "done");
}

/// A version that does not know the timer cannot remove what systemd has noted about it.
#[test]
fn a_timer_goes_with_all_that_systemd_noted_about_it() {
    let stage = Stage::after(&[INSTALL]);
    let old = stage.names("etc/systemd/system");
    stage.run(UPGRADE, &[], "").expect(0);
    let (unit, stamp) =
        (stage.at("etc/systemd/system/later.timer"), stage.at("var/lib/systemd/timers/stamp-later.timer"));
    assert!(unit.exists());
    // As systemd does once it runs.
    fs::create_dir_all(stamp.parent().unwrap()).unwrap();
    fs::write(&stamp, "").unwrap();
    let before = stage.listing();
    stage.run(ROLLBACK, &[], "error:30").expect(6);
    assert_eq!(before.diff(&stage.listing()), "");
    stage.run(ROLLBACK, &[], "").expect(0).says("stamp-later.timer ... ok");
    assert!(!unit.exists() && !stamp.exists());
    assert_eq!(stage.names("etc/systemd/system"), old);
}
