//! What is found out about an installation, and what leaves it with a bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::stage::{INSTALL, Stage, UPGRADE, Verb};

const TO_1_1: Verb = Verb { version: Some("1.1"), words: &["upgrade"] };

impl Stage {
    /// The findings of `doctor` under a name, with their states. What it finds out about this machine is left alone.
    fn doctor(&self, name: &str) -> Vec<(String, String)> {
        let done = self.ask(&["doctor", "--json"]);
        assert!([Some(0), Some(7)].contains(&done.code), "{}", done.said);
        let report: Value = serde_json::from_str(&done.said).unwrap();
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: Vec<_> = checks.map(|check| (text(&check["state"]), text(&check["evidence"]))).collect();
        assert!(!found.is_empty(), "{name} is not looked at");
        let failed = report["checks"].as_array().unwrap().iter().any(|check| check["state"] == "fail");
        assert_eq!(done.code, Some(if failed { 7 } else { 0 }));
        found
    }

    #[track_caller]
    fn finds(&self, name: &str, state: &str, evidence: &str) {
        let found = self.doctor(name);
        let is_there = found.iter().any(|(found, words)| found == state && words.contains(evidence));
        assert!(is_there, "no {state} with `{evidence}` in {found:?}");
    }
}

#[test]
fn doctor_finds_what_is_wrong_and_says_what_to_do() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    let before = stage.listing();
    stage.finds("interrupted", "pass", "no run was interrupted");
    stage.finds("files", "pass", "1.1 as packed");
    stage.finds("configuration", "pass", "cairn-server takes");
    stage.finds("health", "pass", "cairn-server, port: as it is");
    stage.finds("backup", "pass", "the last backup was made ");
    // A place for each file system, and here there is one.
    for folder in ["var/lib/cairn", "var/lib/cairn/backups", "var/lib/cairn/volumes", "var/log/cairn"] {
        let rooms = stage.doctor("room");
        let [(_, room)] = &rooms[..] else { panic!("{rooms:?}") };
        assert!(
            room.contains(&format!("`{}`", stage.at(folder).display())) && room.contains(" free"),
            "{room}"
        );
    }
    // What preflight looks at is in it.
    stage.doctor("memory");
    assert_eq!(before.diff(&stage.listing()), "");

    fs::write(stage.at("opt/cairn/versions/1.1/share/file"), "other").unwrap();
    stage.finds("files", "fail", "share/file was changed");
    fs::write(stage.at("ill"), "").unwrap();
    stage.finds("health", "fail", "cairn-server, port: as it is");
    fs::write(stage.at("etc/cairn/server.toml"), "bad = 1\n").unwrap();
    stage.finds("configuration", "fail", "unknown key `bad`");
    fs::remove_dir_all(stage.at("var/lib/cairn/backups")).unwrap();
    stage.finds("backup", "warn", "there is no backup");
    fs::write(stage.at("var/lib/cairn/.receipt.json.cairn-17"), "").unwrap();
    stage.finds("left-over", "warn", ".receipt.json.cairn-17");
    assert_eq!(stage.run(UPGRADE, &[], "kill:20").code, None);
    stage.finds("interrupted", "fail", "the upgrade of cairn, begun ");
    stage.ask(&["doctor"]).expect(7).says("installation\n").says("cairnctl upgrade --resume");
}

/// The files in a bundle, by name.
fn unpacked(file: &std::path::Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(file).unwrap()));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let (name, mut text) = (entry.path().unwrap().display().to_string(), String::new());
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        })
        .collect()
}

#[test]
fn a_bundle_has_what_helps_and_no_secret() {
    let stage = Stage::after(&[INSTALL, TO_1_1]);
    let plant = |path: &str, text: &str| {
        fs::create_dir_all(stage.at(path).parent().unwrap()).unwrap();
        fs::write(stage.at(path), text).unwrap();
    };
    let key = "-----BEGIN PRIVATE KEY-----\nPLANTEDbutAsKey0123\n-----END PRIVATE KEY-----\n";
    for name in ["ca", "server", "agent", "server-client"] {
        plant(&format!("etc/cairn/tls/{name}.key"), key);
    }
    plant("var/lib/cairn/admin-password", "PLANTEDpassword\n");
    plant("var/lib/cairn/server/admin.json", r#"{"user":"admin","password_hash":"$argon2id$PLANTEDhash"}"#);
    plant("var/lib/cairn/server/cairn.db", "2");
    plant("var/lib/cairn/server/tokens", "PLANTEDtoken");
    plant("var/log/cairn/console/vm.log", "login: PLANTEDguest");
    // Where none belongs, and somebody put one.
    plant(
        "etc/cairn/server.toml",
        &format!("# the password is PLANTEDpassword\nlisten = \"x\"\nadmin_password = \"PLANTED1\"\n{key}"),
    );
    plant("etc/cairn/agent.toml", "# curl --token PLANTED2\n# cairn1_PLANTED3 and cairn_api_PLANTED4\n");
    plant(
        "etc/libvirt/qemu/web.xml",
        "<domain><a xmlns='urn:cairn:vm:1'/><name>web</name><graphics passwd='PLANTED5'/></domain>",
    );
    plant("etc/libvirt/qemu/other.xml", "<domain><name>PLANTEDother</name></domain>");
    let before = stage.listing();

    let file = stage.root().with_file_name("bundle.tar.gz");
    let bundle = ["support-bundle", "--to", file.to_str().unwrap()];
    stage.ask(&[&bundle[..], &["--dry-run"]].concat()).expect(0).says("support/doctor.txt").says("would be");
    assert!(!file.exists());
    let answer = stage.json(&bundle, 0);
    let parts = unpacked(&file);
    let named: Vec<&str> =
        answer["contents"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut sorted = named.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, parts.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, words) in [
        ("about.txt", "cairn 1.1, role all"),
        ("status.json", "\"version\":\"1.1\""),
        ("doctor.txt", "installation\n"),
        ("doctor.json", "\"checks\""),
        ("receipt.json", "\"product\": \"cairn\""),
        ("files.txt", "etc/cairn/tls/ca.key"),
        ("etc/server.toml", "listen = \"x\""),
        ("etc/agent.toml", "curl"),
        ("domain/web.xml", "<name>web</name>"),
    ] {
        let text = parts.get(&format!("support/{name}")).unwrap_or_else(|| panic!("{name}: {named:?}"));
        assert!(text.contains(words), "{name}: {text}");
    }
    for (name, text) in &parts {
        assert!(!text.contains("PLANTED") && !text.contains("argon2id"), "{name}: {text}");
    }
    assert!(!parts.contains_key("support/domain/other.xml"), "a machine that is not Cairn's");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    stage.ask(&bundle).expect(1).says("is there already");
    assert_eq!(before.diff(&stage.listing()), "");
}
