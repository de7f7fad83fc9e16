//! What is asked of an installation that is there.

use std::fs;

use crate::stage::{INSTALL, Stage, UNINSTALL, UPGRADE, Verb};

const TO_1_1: Verb = Verb { version: Some("1.1"), words: &["upgrade"] };

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
fn settings_are_shown_and_changed_and_the_rest_of_the_file_stays() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    let file = stage.at("etc/cairn/server.toml");
    fs::write(&file, "# Where.\n#listen = \"[::]:8443\"\n\n# The end.\n").unwrap();
    let shown = stage.json(&["config", "show"], 0);
    assert_eq!(
        shown["server"]["settings"]["listen"],
        serde_json::json!({ "value": "[::]:8443", "set": false })
    );
    assert_eq!(shown["agent"]["settings"]["listen"]["value"], "[::]:7070");

    let set = ["config", "set", "server.listen", "127.0.0.1:9"];
    let before = stage.listing();
    stage.ask(&[&set[..], &["--dry-run"]].concat()).expect(0).says("write ");
    assert_eq!(before.diff(&stage.listing()), "");
    assert_eq!(stage.json(&set, 0)["state"], "done");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "# Where.\n#listen = \"[::]:8443\"\nlisten = \"127.0.0.1:9\"\n\n# The end.\n"
    );
    stage.ask(&["config", "get", "server.listen"]).expect(0).says("127.0.0.1:9\n");
    stage.ask(&["config", "show"]).expect(0).says("server.listen = \"127.0.0.1:9\"\n").says("(default)");
    assert_eq!(stage.json(&set, 0)["state"], "nothing-to-do");
    assert_eq!(stage.json(&["config", "unset", "server.listen"], 0)["state"], "done");
    assert_eq!(before.diff(&stage.listing()), "");
    stage.ask(&["config", "check"]).expect(0).says("ok: cairn-server takes");
}

#[test]
fn what_a_service_would_not_take_is_not_written() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    let before = stage.listing();
    for (words, code, said) in [
        (&["config", "set", "server.bad", "1"][..], 1, "nothing was changed: `"),
        (&["config", "set", "listen", "1"], 1, "write `server.listen` or `agent.listen`"),
        (&["config", "get", "server.lisen"], 1, "known ones are `listen`"),
        (&["config", "set", "server.listen", "x", "--restart"], 1, "leave out --root"),
    ] {
        stage.ask(words).expect(code).says(said);
        assert_eq!(before.diff(&stage.listing()), "", "{words:?}");
    }
    // By its own name and not by that of the copy that was judged.
    let file = stage.at("etc/cairn/server.toml");
    stage.ask(&["config", "set", "server.bad", "1"]).expect(1).says(&format!("`{}` has", file.display()));
    fs::write(&file, "bad = 1\n").unwrap();
    stage.ask(&["config", "check"]).expect(1).says("unknown key `bad`");
    assert!(stage.json(&["config", "check"], 1)["server"]["error"].is_string());
    fs::write(&file, "no toml").unwrap();
    stage.ask(&["config", "set", "server.listen", "1"]).expect(1).says("cannot change");
    // The first releases cannot say.
    let old = Stage::after(&[INSTALL]);
    old.ask(&["config", "set", "server.listen", "1"]).expect(3).says("upgrade first");
}

#[test]
fn a_change_that_was_killed_is_put_back_or_done() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    let old = stage.listing();
    stage.keep("before");
    let set = ["config", "set", "server.listen", "one"];
    stage.ask(&set).expect(0);
    let new = stage.listing();
    for place in 0.. {
        stage.back("before");
        let killed = stage.faulty(&set, &format!("kill:{place}"));
        if killed.code.is_some() {
            assert!(place > 5, "only {place} places");
            break;
        }
        // Another one puts it back first.
        stage.ask(&["config", "set", "server.listen", "two"]).expect(0);
        stage.ask(&["config", "get", "server.listen"]).expect(0).says("two");
        stage.ask(&["config", "unset", "server.listen"]).expect(0);
        assert_eq!(old.diff(&stage.listing()), "", "killed at {place}");
        stage.ask(&set).expect(0);
        assert_eq!(new.diff(&stage.listing()), "", "killed at {place}");
    }
}

#[test]
fn a_new_password_is_printed_once_and_kept_nowhere() {
    let stage = Stage::after(&[INSTALL]);
    let (admin, first) =
        (stage.at("var/lib/cairn/server/admin.json"), stage.at("var/lib/cairn/admin-password"));
    fs::write(&admin, "forgotten").unwrap();
    let before = stage.listing();
    stage.ask(&["reset-admin-password", "--dry-run"]).expect(0).says("admin.json anew");
    assert_eq!(before.diff(&stage.listing()), "");
    stage.ask(&["--quiet", "reset-admin-password"]).expect(0).says("user admin, password a password (");
    assert_eq!(fs::read_to_string(&admin).unwrap(), "{}\n");
    assert!(!first.exists(), "the first password, which is no longer valid, is still there");
    assert_eq!(stage.json(&["reset-admin-password"], 0)["password"], "a password");
    for entry in stage.listing().entries() {
        let content = fs::read(stage.root().join(entry.0.strip_prefix("/").unwrap())).unwrap_or_default();
        let is_kept = content.windows(10).any(|part| part == b"a password");
        assert!(
            !is_kept || entry.0.starts_with("/opt/cairn") || entry.0.starts_with("/var/lib/cairn/archives")
        );
    }

    let given = |line: &str| stage.given(&["reset-admin-password", "--password-stdin", "--json"], line);
    given("short\n").expect(1).says("10 to 1024 characters");
    let done = given("chosen by me\n").expect(0);
    assert!(!done.said.contains("chosen by me") && !done.said.contains("password\":"), "{}", done.said);
    assert_eq!(fs::read_to_string(&admin).unwrap(), "{chosen by me}\n");
}

#[test]
fn a_certificate_for_other_addresses_is_made_by_the_same_authority() {
    let stage = Stage::after(&[INSTALL]);
    let at = |name: &str| stage.at("etc/cairn/tls").join(name);
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    let (old, client) = (read("server.pem"), read("server-client.pem"));
    let change = ["change-address", "cloud.example.org", "192.0.2.1"];
    stage.ask(&[&change[..], &["--dry-run"]].concat()).expect(0).says("for cloud.example.org 192.0.2.1");
    assert_eq!(read("server.pem"), old);
    let done = stage.json(&change, 0);
    assert_eq!((&done["state"], &done["url"]), (&"done".into(), &"https://localhost/".into()));
    for name in ["server.pem", "server.key"] {
        assert!(read(name).contains("--address cloud.example.org --address 192.0.2.1"), "{}", read(name));
    }
    assert_eq!(read("server-client.pem"), client);
    stage.ask(&["change-address"]).expect(1);
}

#[test]
fn secrets_made_anew_are_whole_or_as_before_wherever_it_is_killed_or_fails() {
    let stage = Stage::after(&[INSTALL]);
    let old = stage.listing();
    stage.keep("before");
    for words in [&["change-address", "a.example"][..], &["reset-admin-password"]] {
        for (kind, code) in [("kill", None), ("error", Some(6))] {
            let mut far = false;
            for place in 0.. {
                stage.back("before");
                let hurt = stage.faulty(words, &format!("{kind}:{place}"));
                if hurt.code == Some(0) {
                    assert!(place > 8, "only {place} places");
                    break;
                }
                // Before the journal there is nothing to take back, behind it only clearing away.
                far |= hurt.code == code;
                assert!(hurt.code == code || hurt.code == Some(7), "{}", hurt.said);
                let pending = stage.at("var/lib/.cairn-journal").exists();
                let undone = stage.ask(&["change-address", "b.example", "--undo"]);
                if undone.code == Some(0) {
                    let difference = old.diff(&stage.listing());
                    assert!(difference.is_empty() || !pending, "{words:?} {kind}:{place}\n{difference}");
                } else {
                    undone.expect(8).says("is done but for clearing away");
                }
                // Nothing is in the way of another try.
                stage.ask(words).expect(0);
            }
            assert!(far);
        }
    }
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
