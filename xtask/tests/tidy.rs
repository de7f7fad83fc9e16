//! Rules of this repository. A rule that was broken twice stands here, and its message names what to do instead.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(tree()).no_deps().exec().unwrap()
}

/// Every file that git knows, with its path from the root.
fn files(extension: &str) -> Vec<(String, String)> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let names = String::from_utf8(listed.stdout).unwrap();
    let wanted = names.split('\0').filter(|name| name.ends_with(extension)).map(str::to_owned);
    wanted
        .filter_map(|name| Some((name.clone(), std::fs::read_to_string(tree().join(&name)).ok()?)))
        .collect()
}

/// Who may depend on whom within the workspace, development dependencies left out.
#[test]
fn borders_are_kept() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("agent", &["agent-hypervisor", "agent-protocol", "packaging-service", "packaging-stamp"][..]),
        ("agent-hypervisor", &["agent-libvirt"]),
        ("agent-libvirt", &[]),
        ("agent-protocol", &[]),
        ("cairnctl", &["packaging-archive", "packaging-stamp"]),
        ("packaging-archive", &[]),
        ("packaging-service", &[]),
        ("packaging-stamp", &[]),
        ("server", &["agent-protocol", "packaging-service", "packaging-stamp", "server-api"]),
        ("server-api", &[]),
        ("server-cli", &["packaging-stamp", "server-api"]),
        ("xtask", &["packaging-archive", "xtask-testbed"]),
        ("xtask-testbed", &[]),
    ]);
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let allowed = allowed.get(package.name.as_str()).unwrap_or_else(|| {
            panic!("`{}` is new; say here and in ARCHITECTURE.md what it may depend on", package.name)
        });
        for dependency in &package.dependencies {
            let counts = dependency.kind != cargo_metadata::DependencyKind::Development;
            if counts && members.contains(dependency.name.as_str()) {
                assert!(
                    allowed.contains(&dependency.name.as_str()),
                    "`{}` may not depend on `{}`; see the borders in ARCHITECTURE.md",
                    package.name,
                    dependency.name
                );
            }
        }
    }
}

/// A package is called after its path, so that a name leads to a folder.
#[test]
fn packages_are_named_after_their_path() {
    for package in &metadata().packages {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(tree().to_str().unwrap()).unwrap();
        let name = folder.as_str().replace('/', "-");
        // The control tool goes by its program's name, which operators type.
        let expected = if name == "packaging-cairnctl" { "cairnctl" } else { &name };
        assert_eq!(package.name.as_str(), expected, "rename the package in {folder}/Cargo.toml");
    }
}

/// A room opens with what lives in it.
#[test]
fn every_module_says_what_it_is_for() {
    for (name, text) in files(".rs") {
        assert!(
            text.starts_with("//!"),
            "{name} does not start with `//!` and a sentence on what lives there"
        );
    }
}

/// Files beyond this size are where other projects' regrets sit.
#[test]
fn files_stay_readable() {
    for extension in [".rs", ".sh", ".js", ".css"] {
        for (name, text) in files(extension) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{name} has {lines} lines; split it into rooms of at most 500");
        }
    }
    for name in ["packaging/install.sh", "packaging/uninstall.sh"] {
        let lines = std::fs::read_to_string(tree().join(name)).unwrap().lines().count();
        assert!(lines <= 60, "{name} has {lines} lines; what it does belongs into cairnctl");
    }
}

/// Some names belong to one place.
#[test]
fn what_belongs_to_one_place_stays_there() {
    let places: &[(&str, &[&str])] = &[
        ("indicatif::", &["xtask/src/progress.rs"]),
        ("axum::", &["server/src/http/", "agent/src/http/", "server/tests/", "agent/tests/"]),
        ("sqlx::", &["server/src/store/"]),
        ("agent_libvirt::", &["agent/hypervisor/", "agent/libvirt/", "agent/tests/"]),
        ("quick_xml::", &["agent/hypervisor/src/domain/element.rs"]),
        ("roxmltree::", &["agent/hypervisor/src/"]),
    ];
    for (name, text) in files(".rs") {
        for (word, homes) in places {
            let at_home = homes.iter().any(|home| name.starts_with(home)) || name == "xtask/tests/tidy.rs";
            assert!(
                at_home || !text.contains(word),
                "{name} names `{word}`, which only {} may",
                homes.join(" and ")
            );
        }
    }
}

/// What is unfinished is not in main.
#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];
    for (name, text) in files(".rs").into_iter().chain(files(".sh")).chain(files(".js")) {
        for word in words {
            let found = name != "xtask/tests/tidy.rs" && text.contains(word);
            assert!(!found, "{name} holds `{word}`; finish it, or take it out");
        }
    }
}

/// Links between documents lead somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    for (name, text) in files(".md") {
        let folder = tree().join(&name).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            let outside = link.contains("://") || link.starts_with('#') || path.is_empty();
            assert!(outside || folder.join(path).exists(), "{name} links to `{path}`, which is not there");
        }
    }
}

/// The stub reads the trailer by numbers that the archive's format fixes.
#[test]
fn the_stub_knows_the_trailer() {
    let stub = std::fs::read_to_string(tree().join("packaging/stub.sh")).unwrap();
    let trailer = packaging_archive::TRAILER_BYTES;
    for number in [trailer, trailer - 16, trailer - 16 - 11] {
        assert!(stub.contains(&number.to_string()), "packaging/stub.sh does not know the number {number}");
    }
}

/// The commands that the documents show are commands of this program.
#[test]
fn documented_commands_exist() {
    let mut shown = BTreeSet::new();
    for (_, text) in files(".md").into_iter().chain(files(".ci/run")) {
        for rest in text.split("cargo xtask ").skip(1) {
            shown.insert(
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap().to_owned(),
            );
        }
    }
    for command in shown.iter().filter(|command| !command.is_empty()) {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args([command, "--help"])
            .output()
            .unwrap();
        assert!(output.status.success(), "a document shows `cargo xtask {command}`, which there is not");
    }
}
