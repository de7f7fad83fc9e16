//! The releases of the project's own history: what build.toml pins is what is planned and what was packed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Packed, Xtask};

/// This repository.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a release pins: component to ref and commit.
fn pins(release: &str) -> BTreeMap<String, (String, String)> {
    let text = std::fs::read_to_string(tree().join("build.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let pins = file["release"][release].as_table().unwrap().iter();
    let word = |pin: &toml::Value, key: &str| pin[key].as_str().unwrap().to_owned();
    pins.map(|(name, pin)| (name.clone(), (word(pin, "ref"), word(pin, "commit")))).collect()
}

/// Options of a build, the release that it is of, and the name of what comes out. `cargo xtask test` builds them all.
const BUILDS: [(&[&str], &str, &str); 3] = [
    (&["--version", "0.9"], "0.9", "0.9"),
    (&["--version", "0.9fix"], "0.9fix", "0.9fix"),
    (&["--version", "0.9fix", "--component", "dashboard=0.9", "--name", "qa"], "0.9fix", "0.9fix-qa"),
];

#[test]
fn a_fresh_clone_without_tags_plans_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-tags"]).arg(format!("file://{}", tree().display())).arg(&clone);
    assert!(git.status().unwrap().success());
    for (options, release, version) in BUILDS {
        let call = Xtask::new(["all-in-one", "--dry-run", "--format", "json", "--allow-dirty"])
            .arguments(options.iter().copied());
        let call = call.option("--manifest", &clone.join("build.toml"));
        let plan =
            call.option("--cache", &folder.path().join("cache")).run().succeeded().events("plan").remove(0);
        assert_eq!(plan["version"], version);
        let text = |component: &serde_json::Value, key: &str| component[key].as_str().unwrap().to_owned();
        let planned = plan["components"].as_array().unwrap().iter();
        let planned: BTreeMap<_, _> =
            planned.map(|one| (text(one, "name"), (text(one, "ref"), text(one, "commit")))).collect();
        assert_eq!(planned, pins(release), "{version}");
    }
}

/// A release that `cargo xtask test` has built.
fn built(version: &str) -> PathBuf {
    let folder = std::env::var_os("CAIRN_RELEASES");
    let folder = folder.expect("CAIRN_RELEASES names no folder; run `cargo xtask test`, which fills one");
    Path::new(&folder).join(format!("cairn-all-in-one-{version}-x86_64.run"))
}

#[test]
fn what_is_compressed_and_packed_again_is_the_same_file() {
    let (options, _, version) = BUILDS[1];
    let folder = tempfile::tempdir().unwrap();
    let cache =
        PathBuf::from(std::env::var_os("CAIRN_TEST_CACHE").expect("CAIRN_TEST_CACHE names no folder"));
    let members = folder.path().join("members");
    std::fs::create_dir(&members).unwrap();
    let call = Xtask::new(["all-in-one", "--allow-dirty", "--native", "--jobs", "1"])
        .arguments(options.iter().copied());
    let call = call.option("--cache", &cache).option("--out", folder.path()).env("TZ", "<-0930>9:30");
    let again = call.with_folder_over(&members, &cache.join("members")).run().succeeded().file();
    assert!(std::fs::read_dir(&members).unwrap().next().is_some(), "nothing was compressed");
    for extension in ["run", "run.sha256", "run.cdx.json", "run.provenance.json"] {
        let read = |file: &Path| std::fs::read(file.with_extension(extension)).unwrap();
        assert!(read(&built(version)) == read(&again), "{extension} differs");
    }
}

#[test]
fn what_was_packed_says_what_it_was_built_from() {
    for (_, release, version) in BUILDS {
        let file = built(version);
        let packed = Packed::open(&file);
        assert_eq!(packed.manifest().version, version);
        let inspected = Xtask::new(["inspect"]).option("--", &file).run().succeeded().stdout;
        assert_eq!(packed.manifest().components.len(), pins(release).len());
        for (name, (reference, commit)) in pins(release) {
            assert_eq!(packed.built_from(&name), (reference.as_str(), commit.as_str()), "{version}");
            let line = inspected.lines().find(|line| line.trim_start().starts_with(&name)).unwrap();
            assert!(line.contains(&reference) && line.contains(&commit), "{line}");
        }
    }
    // The dashboard was not built anew for the fix.
    assert_eq!(pins("0.9")["dashboard"], pins("0.9fix")["dashboard"]);
    assert_ne!(pins("0.9")["server"], pins("0.9fix")["server"]);
}
