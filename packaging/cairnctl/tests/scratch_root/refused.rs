//! What is refused before anything is done, each with its code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use packaging_archive::{
    Archive, Build, Content, Description, EntryPath, HELPER, Input, Mode, Toolchain, assemble, compress,
};

use crate::site::{Done, Run as _, Site, plain, version};
use crate::support::run_file;

/// Runs it, and sees that it left nothing. Preflight tries to make files, which shows in the times of folders.
#[track_caller]
fn refused(site: &Site, words: &[&str]) -> Done {
    let before = site.listing();
    let done = site.install(words);
    assert_eq!(before.diff(&site.listing()), "");
    done
}

/// A file of the same product, another version, with nothing inside but the helper.
fn another_version(site: &Site) -> PathBuf {
    let mut helper = Vec::new();
    Archive::open(run_file()).unwrap().read_entry(HELPER, &mut helper).unwrap();
    let path = EntryPath::new(HELPER).unwrap();
    let content = Content::Bytes(helper);
    let inputs = vec![Input { path, section: "core".into(), mode: Mode::Executable, mtime: 1, content }];
    let sections = [("core".to_owned(), Vec::new())];
    let packed = compress(inputs, &sections, &site.beside("members"), 1, &|_| ()).unwrap();
    let description = Description {
        product: "cairn".into(),
        version: "0.8".into(),
        created: 1,
        toolchain: Toolchain { commit: "0".repeat(40), dirty: false },
        build: Build { target: "x86_64-unknown-linux-gnu".into(), native: true, glibc: None },
        components: BTreeMap::new(),
    };
    let file = site.beside("cairn-0.8.run");
    assemble(include_str!("../../../stub.sh"), description, &packed, None, &file).unwrap();
    file
}

#[test]
fn without_a_terminal_it_wants_a_yes() {
    let site = Site::new();
    let before = site.untouched();
    let root = site.root();
    let done = site.run(&["--root", root.to_str().unwrap(), "--no-start"]).expect(1).says("add --yes");
    assert_eq!((done.out.as_str(), done.err.lines().count()), ("", 1));
    assert_eq!(site.untouched(), before);
    refused(&site, &["--confirm"]).expect(1).says("leave out --confirm");
}

#[test]
fn services_of_another_root_are_not_started() {
    let site = Site::new();
    let root = site.root();
    site.run(&["--root", root.to_str().unwrap(), "--yes"]).expect(1).says("add --no-start");
    let elsewhere = site.beside("not-there");
    site.run(&["--root", elsewhere.to_str().unwrap(), "--yes"]).expect(1);
    assert!(!elsewhere.exists());
}

#[test]
fn another_version_or_role_is_a_matter_of_policy() {
    let site = Site::installed(&[]);
    refused(&site, &["--role", "agent"]).expect(8).says("installed with --role all");
    let other = another_version(&site);
    let before = site.untouched();
    let mut command = plain("sh");
    command.arg(other).arg("--root").arg(site.root()).args(["--no-start", "--yes"]);
    let done = command.done().expect(8).says(&format!("cairn {} is installed here", version()));
    assert!(done.err.contains("use the verb `upgrade`"), "{}", done.err);
    assert_eq!(site.untouched(), before);
}

#[test]
fn one_at_a_time() {
    let site = Site::installed(&[]);
    let held = File::open(site.root()).unwrap();
    held.lock().unwrap();
    let owner = format!("another installation or removal (process {}: `", std::process::id());
    refused(&site, &[]).expect(5).says(&owner).says("is at work");
    site.uninstall(&[]).expect(5);
    drop(held);
    site.install(&[]).expect(0);
}

#[test]
fn a_file_where_a_folder_has_to_be_is_named() {
    for path in ["/opt", "/etc/cairn", "/var/lib", "/etc/systemd/system"] {
        let site = Site::new();
        site.write(&site.at(path), 0o600, "");
        refused(&site, &[]).expect(3).says(&site.at(path).display().to_string()).says("remedy: make");
    }
    let site = Site::new();
    fs::remove_dir(site.root()).unwrap();
    site.write(&site.root(), 0o600, "");
    site.install(&[]).expect(3).says("a folder, or a symbolic link to one that exists");
}

#[test]
fn a_broken_record_is_damage() {
    let site = Site::installed(&[]);
    fs::write(site.at("/var/lib/cairn/receipt.json"), "{").unwrap();
    refused(&site, &[]).expect(2).says("receipt.json");
    site.uninstall(&[]).expect(2).says("restore it from a backup");
}
