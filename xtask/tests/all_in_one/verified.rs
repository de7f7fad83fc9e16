//! `verify` and `inspect` tell what a packed file is, and `verify` knows a damaged one.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, World, Xtask};

fn verify(file: &Path) -> Ran {
    Xtask::new(["verify"]).arguments([file.to_str().unwrap()]).run()
}

#[test]
fn a_damaged_file_is_told_from_a_good_one() {
    let world = World::new();
    let file = world.all_in_one(["--version=0.9fix"]).run().succeeded().file();
    let good = verify(&file).succeeded();
    assert!(good.stdout.starts_with("ok: trio 0.9fix, "), "{}", good.stdout);

    let bytes = fs::read(&file).unwrap();
    let damaged = world.path("damaged.run");
    let is_refused = |what: &str, bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        let ran = verify(&damaged);
        assert_eq!(ran.code, Some(2), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains("; copy it again from where it was published"), "{what}: {}", ran.stderr);
    };
    // In the stub, in the table of contents, in the helper, in what follows, and in the trailer.
    for place in [100, 8200, bytes.len() / 2, bytes.len() - 2000, bytes.len() - 20, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0x10;
        is_refused(&format!("byte {place} flipped"), &flipped);
    }
    for length in [0, 10, 4096, bytes.len() / 2, bytes.len() - 1] {
        is_refused(&format!("cut to {length} bytes"), &bytes[..length]);
    }
    is_refused("a byte appended", &[&bytes[..], b"\0"].concat());
    is_refused("itself appended", &[&bytes[..], &bytes].concat());
    assert_eq!(verify(&world.path("nowhere.run")).code, Some(1));
}

#[test]
fn inspect_tells_what_a_file_was_built_from() {
    let world = World::new();
    let file = world.all_in_one(["--version=0.9fix", "--name=qa"]).run().succeeded().file();
    let file = file.to_str().unwrap();
    let json = Xtask::new(["inspect", "--format=json", file]).run().succeeded().value();
    assert_eq!((&json["product"], &json["version"]), (&"trio".into(), &"0.9fix-qa".into()));
    assert_eq!(json["components"]["server"]["ref"], "0.9fix");
    assert_eq!(json["components"]["server"]["commit"], world.server.head().as_str());
    assert_eq!(json["toolchain"]["commit"].as_str().unwrap().len(), 40);
    assert_eq!(json["build"]["native"], true);
    let human = Xtask::new(["inspect", file]).run().succeeded().stdout;
    for words in ["trio", "0.9fix-qa", "server", &world.server.head(), &world.agent.head(), "dashboard"] {
        assert!(human.contains(words), "{human}\ndoes not say: {words}");
    }
}

#[test]
fn who_stops_reading_is_no_error() {
    let world = World::new();
    let file = world.all_in_one(["--version=0.9fix"]).run().succeeded().file();
    for command in ["verify", "inspect"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut call = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = call.arg(command).arg(&file).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command}");
    }
}
