//! What is asked of an installation that is there.

use std::fs;

use crate::stage::{INSTALL, Stage, UNINSTALL, UPGRADE};

#[test]
fn status_says_what_is_there_and_how_it_is() {
    let stage = Stage::after(&[INSTALL, UPGRADE]);
    let status = stage.json(&["status"], 0);
    let expected = [("product", "cairn"), ("version", "2.0"), ("previous", "1.0"), ("role", "all")];
    for (key, value) in expected {
        assert_eq!(status[key], value, "{status}");
    }
    assert_eq!((&status["healthy"], &status["transaction"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(status["backups"][0]["version"], "1.0");
    assert_eq!(status["programs"][0]["checks"][0]["evidence"], "as it is");
    stage.ask(&["status"]).expect(0).says("cairn 2.0, role all").says("returns to 1.0").says("backups: 1,");

    fs::write(stage.at("ill"), "").unwrap();
    assert_eq!(stage.json(&["status"], 7)["healthy"], false);
    stage.ask(&["status"]).expect(7).says("cairn-server: not healthy").says("fail  port: as it is");
}

#[test]
fn status_names_what_was_interrupted_and_changes_nothing() {
    let stage = Stage::after(&[INSTALL]);
    assert_eq!(stage.run(UPGRADE, &[], "kill:30").code, None);
    let before = stage.listing();
    let status = stage.json(&["status"], 7);
    assert_eq!(status["transaction"]["verb"], "upgrade", "{status}");
    stage
        .ask(&["status"])
        .expect(7)
        .says("interrupted: the upgrade of cairn, begun ")
        .says("upgrade --resume");
    assert_eq!(before.diff(&stage.listing()), "");
    stage.run(UPGRADE, &["--undo"], "").expect(0);
    stage.ask(&["status"]).expect(0);
}

#[test]
fn where_nothing_is_installed_there_is_nothing_to_ask() {
    let stage = Stage::new();
    for verb in ["status", "start", "stop", "restart", "logs"] {
        stage.ask(&[verb]).expect(1).says("nothing is installed below");
    }
    stage.run(INSTALL, &[], "").expect(0);
    for verb in ["start", "stop", "restart", "logs"] {
        stage.ask(&[verb]).expect(1).says("services of another root are not run by systemd");
    }
    stage.run(UNINSTALL, &[], "").expect(0);
    stage.ask(&["status"]).expect(1).says("nothing is installed below");
}
