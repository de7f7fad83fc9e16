//! `cargo xtask bench` on a small release and a few megabytes: every row is there, and what both sides packed is the same tree,
//! which the command itself compares. No time is asserted.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{World, Xtask, shared_cache};

fn bench<'a>(world: &World, words: impl IntoIterator<Item = &'a str>) -> Xtask {
    Xtask::new(["bench", "--rounds=1", "--packages-bytes=2000000", "--large-bytes=5000000"])
        .option("--out", &world.path("bench"))
        .env("CAIRN_MANIFEST", world.sources().join("build.toml"))
        .env("CAIRN_CACHE", shared_cache())
        .arguments(words)
}

/// The JSON that was left, and makes sure that nothing else was.
fn left(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.path("bench")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = entries.filter(|path| !path.ends_with("lock")).collect();
    assert!(files.len() == 1 && files[0].extension().is_some_and(|end| end == "json"), "{files:?}");
    files[0].clone()
}

#[test]
fn everything_is_measured_beside_makeself_with_the_same_tree() {
    let world = World::new();
    let ran = bench(&world, ["--format=json"]).run().succeeded();
    let report = ran.value();
    assert_eq!(fs::read_to_string(left(&world)).unwrap(), ran.stdout);

    let rows = report["rows"].as_array().unwrap();
    let row = |operation: &str, what: &str, measure: &str| -> &Value {
        let is =
            |row: &&Value| row["operation"] == operation && row["what"] == what && row["measure"] == measure;
        rows.iter().find(is).unwrap_or_else(|| panic!("no row for {operation}, {what}, {measure}"))
    };
    let peers = |row: &Value| row["peers"].as_array().unwrap().len();
    let by_sh = ["cairn", "cairn by sh alone, with openssl", "cairn by sh alone, without openssl"];
    for measure in ["CPU time", "wall time", "peak memory"] {
        for operation in ["cold assembly", "one component changed", "nothing changed", "extract one file"] {
            assert_eq!(peers(row(operation, "cairn", measure)), 3, "{operation}");
        }
        for operation in ["verify", "verify and extract", "list"] {
            by_sh.iter().for_each(|what| assert_eq!(peers(row(operation, what, measure)), 3, "{what}"));
        }
        for operation in ["list a large file", "delta", "all-in-one, nothing changed"] {
            row(operation, "cairn", measure);
        }
    }
    for operation in ["cold assembly", "one component changed", "nothing changed", "verify and extract"] {
        row(operation, "cairn", "scratch space");
    }
    for part in ["git: commits and checkouts", "cargo: is anything to be compiled?", "the rest"] {
        row("all-in-one, nothing changed", part, "wall time");
    }
    row("overhead", "script, manifest and trailer", "size");

    // What is counted and not timed can be held to something.
    assert_eq!(row("overhead", "script", "size")["met"], true);
    let size = row("cold assembly", "cairn", "size");
    let (gzip, value) = (&size["peers"][0], size["value"].as_f64().unwrap());
    assert_eq!((gzip["name"].as_str(), size["of"].as_str()), (Some("makeself gzip"), Some("makeself-gzip")));
    let ratio = value / gzip["value"].as_f64().unwrap();
    assert_eq!((gzip["ratio"].as_f64(), size["met"].as_bool()), (Some(ratio), Some(ratio <= 1.005)));
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert!(row("delta", "cairn", "size")["value"].as_f64().unwrap() < value);

    // Whose machine it was is not told.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut words = ran.stdout.split(|c: char| !c.is_alphanumeric() && c != '-');
    assert!(words.all(|word| word != host.trim()), "{}", ran.stdout);
    assert!(!ran.stdout.contains(world.path("").to_str().unwrap()), "{}", ran.stdout);
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["samples"].as_array().unwrap().len(), 1, "{run}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let world = World::new();
    for (words, said) in [
        (["--only=lsit", "--run=x"], "cold assembly"),
        (["--release=0.9fix", "--run=x"], "cannot be used with"),
        (["--only=list", "--run=absent"], "there is no file `absent`"),
    ] {
        let ran = bench(&world, words).run();
        assert!(ran.code == Some(1) && ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
    }
}
