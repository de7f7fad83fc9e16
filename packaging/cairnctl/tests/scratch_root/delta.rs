//! A delta that is run as a file: it installs the new version, or writes the whole file of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use packaging_archive::{Archive, HELPER, PrivateKey, make_delta, sign};

use crate::pair::Pair;
use crate::site::{Done, Run as _, Site, plain};
use crate::support::run_file;

const KEPT: &str = "/var/lib/cairn/archives/";

/// Two versions with the helper under test, beside an empty root.
fn site_and_pair() -> (Site, Pair) {
    let site = Site::new();
    let mut helper = Vec::new();
    Archive::open(run_file()).unwrap().read_entry(HELPER, &mut helper).unwrap();
    let folder = site.beside("two versions");
    fs::create_dir(&folder).unwrap();
    let pair = Pair::make(&folder, "payload", &helper);
    (site, pair)
}

/// `sh FILE WORDS`, beside the root.
fn run(site: &Site, file: &Path, words: &[&str]) -> Done {
    plain("sh").arg(file).args(words).current_dir(site.beside("")).done()
}

/// `sh FILE --root ROOT --no-start --yes WORDS`.
fn install(site: &Site, file: &Path, words: &[&str]) -> Done {
    let root = site.root();
    run(site, file, &[&["--root", root.to_str().unwrap(), "--no-start", "--yes"], words].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// It is all that a delta carries beside what changed, and a hundredth of the smallest file that is measured: 120 MB.
#[test]
fn the_helper_is_small() {
    let archive = Archive::open(run_file()).unwrap();
    let helper = &archive.manifest().members[0];
    assert!(
        helper.size <= 1_200_000,
        "{} bytes; `cargo xtask bench --only delta` has the bound",
        helper.size
    );
}

/// The helper has none of the tables that a backtrace is made of.
#[test]
fn who_asks_for_backtraces_is_told_the_same() {
    let site = Site::new();
    let helper = site.beside("cairnctl");
    let mut bytes = Vec::new();
    Archive::open(run_file()).unwrap().read_entry(HELPER, &mut bytes).unwrap();
    fs::write(&helper, &bytes[..]).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let cut = site.beside("cut.run");
    let whole = fs::read(run_file()).unwrap();
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let say =
        |wanted| plain(text(&helper)).arg("verify").arg(&cut).env("RUST_BACKTRACE", wanted).done().expect(2);
    let without = say("0");
    assert!(without.err.contains("is damaged"), "{}", without.err);
    for wanted in ["1", "full"] {
        assert_eq!(say(wanted).err, without.err);
    }
}

#[test]
fn it_installs_the_new_version() {
    let (site, pair) = site_and_pair();
    let before = site.listing();
    install(&site, &pair.delta, &[]).expect(1).says("; name that file with --base FILE");
    install(&site, &pair.delta, &["--base", text(&pair.new)])
        .expect(8)
        .says("; name the file that it starts");
    assert_eq!(before.diff(&site.listing()), "");
    let done = install(&site, &pair.delta, &["--base", text(&pair.old)]).expect(0);
    assert!(done.out.contains("payload 1.1 is installed"), "{}", done.out);
    assert!(fs::read(site.at(KEPT).join("1.1.run")).unwrap() == fs::read(&pair.new).unwrap());
    let receipt = fs::read_to_string(site.at("/var/lib/cairn/receipt.json")).unwrap();
    assert!(receipt.contains("\"archive\": \"/var/lib/cairn/archives/1.1.run\""), "{receipt}");
    site.ctl("verify").expect(0);
    install(&site, &pair.new, &[]).expect(0).says("nothing to do");
    site.uninstall(&["--purge"]).expect(0);
    assert_eq!(site.listing().entries().count(), 0);
    let names = fs::read_dir(site.beside("")).unwrap();
    assert_eq!(names.count(), 2, "the root and the folder of the files");
}

#[test]
fn it_starts_from_the_version_that_is_installed() {
    let (site, pair) = site_and_pair();
    install(&site, &pair.old, &[]).expect(0);
    let before = site.listing();
    let root = site.root();
    let new = site.beside("a new file.run");
    run(&site, &pair.delta, &["apply", "--root", text(&root), "--out", "a new file.run"]).expect(0);
    assert!(fs::read(&new).unwrap() == fs::read(&pair.new).unwrap());
    run(&site, &new, &["--check", "--root", text(&root)]).expect(0).says("ok: payload 1.1");
    // Another version is never installed over one, but takes its place: from the delta alone, and back.
    install(&site, &pair.delta, &[])
        .expect(8)
        .says("payload 1.0 is installed here")
        .says("use the verb `upgrade`");
    assert_eq!(before.diff(&site.listing()), "");
    run(&site, &pair.delta, &["upgrade", "--yes", "--root", text(&root)])
        .expect(0)
        .says("payload 1.1 is installed");
    assert!(fs::read(site.at(KEPT).join("1.1.run")).unwrap() == fs::read(&pair.new).unwrap());
    site.ctl("verify").expect(0);
    run(&site, &pair.delta, &["rollback", "--yes", "--root", text(&root), "--base", text(&pair.old)])
        .expect(1);
    let mut tool = plain(helper_of(&site));
    tool.args(["rollback", "--yes", "--root"]).arg(&root).done().expect(0).says("payload 1.0 is installed");
    site.ctl("verify").expect(0);
}

#[test]
fn it_tells_what_it_is() {
    let (site, pair) = site_and_pair();
    let root = site.root();
    let about = |words: &[&str]| run(&site, &pair.delta, words);
    about(&["--help"]).expect(0).says("A delta takes `apply --out NEW.run`");
    about(&["--check", "--root", text(&root)]).expect(0).says("ok: payload 1.1, a delta from 1.0");
    about(&["--info"]).expect(0).says("payload 1.1, a delta from 1.0");
    about(&["--list"]).expect(1).says("; make the whole file first: sh ");
    about(&["--noexec"]).expect(1).says("; make the whole file first: sh ");
}

#[test]
fn the_signature_that_counts_is_that_of_the_new_file() {
    let (site, pair) = site_and_pair();
    let key = PrivateKey::generate().unwrap();
    let public: PathBuf = site.beside("two versions/key.pub");
    fs::write(&public, key.public().to_pem().unwrap()).unwrap();
    let open = |file: &Path| Archive::open(file).unwrap();
    // The delta is signed, what it makes is not.
    sign(&open(&pair.delta), &key, &pair.delta).unwrap();
    let words = ["--base", text(&pair.old), "--trust", text(&public)];
    let before = site.listing();
    let done = install(&site, &pair.delta, &words).expect(8);
    assert!(done.err.contains("`payload 1.1 out of ") && done.err.contains("is not signed"), "{}", done.err);
    assert_eq!(before.diff(&site.listing()), "");
    sign(&open(&pair.new), &key, &pair.new).unwrap();
    make_delta(&open(&pair.old), &open(&pair.new), "exit 1", None, &pair.delta).unwrap();
    // A head that does nothing: the installed tool applies it as well.
    let mut tool = plain(helper_of(&site));
    tool.args(["delta", "apply"]).arg(&pair.delta).args(["--base", text(&pair.old), "--out", "whole.run"]);
    tool.current_dir(site.beside("")).done().expect(0);
    install(&site, &site.beside("whole.run"), &["--trust", text(&public)]).expect(0).says("is trusted here");
}

/// The helper under test, as a program beside the root.
fn helper_of(site: &Site) -> PathBuf {
    let program = site.beside("two versions/cairnctl");
    let mut bytes = Vec::new();
    Archive::open(run_file()).unwrap().read_entry(HELPER, &mut bytes).unwrap();
    fs::write(&program, bytes).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    program
}

#[test]
fn a_kept_archive_that_was_damaged_is_kept_anew() {
    let (site, pair) = site_and_pair();
    install(&site, &pair.old, &[]).expect(0);
    let kept = site.at(KEPT).join("1.0.run");
    let good = fs::read(&kept).unwrap();
    let mut bytes = good.clone();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let root = site.root();
    let apply = ["apply", "--root", text(&root), "--out", "new.run"];
    run(&site, &pair.delta, &apply).expect(2).says("that was kept is of no use");
    install(&site, &pair.old, &[]).expect(0).says("keep the archive as");
    assert!(fs::read(&kept).unwrap() == good);
    run(&site, &pair.delta, &apply).expect(0);
}
