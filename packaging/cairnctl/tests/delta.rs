//! `cairnctl delta apply`: the new file, byte for byte, or a sentence, a code and nothing.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "support/pair.rs"]
mod pair;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use packaging_archive::{Archive, hex};
use pair::{Pair, noise};

/// A pair of files of which the new one is bigger than a pipe or a block, and a place for what is made of them.
struct Desk {
    folder: tempfile::TempDir,
    pair: Pair,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("in it")).unwrap();
        fs::create_dir_all(folder.path().join("out of it")).unwrap();
        let helper = noise(1, 50_000);
        let pair = Pair::make(&folder.path().join("in it"), "made", &helper);
        Self { folder, pair }
    }

    /// Where the result goes, alone in its folder.
    fn out(&self) -> PathBuf {
        self.folder.path().join("out of it/new file.run")
    }

    fn apply(&self, delta: &Path, base: &Path) -> Done {
        tool(&["delta", "apply"]).arg(delta).arg("--base").arg(base).arg("--out").arg(self.out()).done()
    }

    #[track_caller]
    fn nothing_came_out(&self) {
        let left: Vec<_> = fs::read_dir(self.out().parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// A root on which a version is installed, as far as the receipt says, with `archive` kept.
    fn root(&self, version: &str, archive: Option<&Path>) -> PathBuf {
        let root = self.folder.path().join("root");
        let _ = fs::remove_dir_all(&root);
        let archives = root.join("var/lib/cairn/archives");
        fs::create_dir_all(&archives).unwrap();
        let receipt = serde_json::json!({
            "format": 1, "product": "made", "version": version, "role": "all",
            "folders": [], "configuration": [], "units": [],
        });
        fs::write(root.join("var/lib/cairn/receipt.json"), receipt.to_string()).unwrap();
        if let Some(archive) = archive {
            fs::copy(archive, archives.join(format!("{version}.run"))).unwrap();
        }
        root
    }

    /// `delta apply` without a base.
    fn apply_to_kept(&self, root: &Path) -> Done {
        let mut command = tool(&["delta", "apply", "--root"]);
        command.arg(root).arg("--out").arg(self.out()).arg(&self.pair.delta).done()
    }
}

fn tool(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairnctl"));
    command.env_clear().args(words).stdin(Stdio::null());
    command
}

trait Run {
    fn done(&mut self) -> Done;
}

impl Run for Command {
    fn done(&mut self) -> Done {
        let Output { status, stdout, stderr } = self.output().unwrap();
        let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        Done { code: status.code(), said }
    }
}

#[derive(Debug)]
struct Done {
    code: Option<i32>,
    said: String,
}

impl Done {
    #[track_caller]
    fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for words in words {
            assert!(self.said.contains(words), "`{words}` is not said: {}", self.said);
        }
        self
    }
}

fn damaged(file: &Path) -> PathBuf {
    let mut bytes = fs::read(file).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    let damaged = file.with_extension("damaged.run");
    fs::write(&damaged, bytes).unwrap();
    damaged
}

#[test]
fn it_writes_the_new_file() {
    let desk = Desk::new();
    let new = fs::read(&desk.pair.new).unwrap();
    // From folders that nobody can write to, and over what lies there.
    let folder = desk.pair.old.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        let done = desk.apply(&desk.pair.delta, &desk.pair.old);
        done.expect(0, &["made made 1.1 of 1.0: ", "new file.run", " bytes, sha256 "]);
        assert!(fs::read(desk.out()).unwrap() == new);
        assert_eq!(fs::metadata(desk.out()).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(desk.out().parent().unwrap()).unwrap().count(), 1);
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(desk.out()).unwrap();
    let mut relative =
        tool(&["--quiet", "delta", "apply", "delta.run", "--base", "old.run", "--out", "x.run"]);
    let done = relative.current_dir(folder).done().expect(0, &[]);
    assert_eq!(done.said, "");
    assert!(fs::read(folder.join("x.run")).unwrap() == new);
}

#[test]
fn another_base_is_named_with_versions_and_digests() {
    let desk = Desk::new();
    let Pair { old, new, delta, .. } = &desk.pair;
    let digest = |file: &Path| hex(&Archive::open(file).unwrap().trailer().digest);
    let (wanted, found) = (digest(old), digest(new));
    desk.apply(delta, new).expect(8, &["made 1.0 with", &wanted, "made 1.1 with", &found, "; name the file"]);
    let folder = desk.folder.path().join("other");
    fs::create_dir(&folder).unwrap();
    let other = Pair::make(&folder, "other", &noise(1, 50_000));
    desk.apply(delta, &other.old).expect(8, &["a delta of made", "is other 1.0", "; name a file of made"]);
    desk.apply(delta, delta).expect(8, &["is a delta itself; name a whole file"]);
    desk.apply(new, old).expect(1, &["is no delta but a whole file of made 1.1; run it"]);
    desk.nothing_came_out();
}

#[test]
fn damage_is_named_with_its_file() {
    let desk = Desk::new();
    let (delta, old) = (damaged(&desk.pair.delta), damaged(&desk.pair.old));
    desk.apply(&delta, &desk.pair.old).expect(2, &["delta.damaged.run` is damaged", "; copy it again"]);
    desk.apply(&desk.pair.delta, &old).expect(2, &["old.damaged.run` is damaged", "; copy it again"]);
    desk.nothing_came_out();
}

#[test]
fn a_place_that_will_not_do_is_named() {
    let desk = Desk::new();
    let Pair { old, delta, .. } = &desk.pair;
    let folder = old.parent().unwrap();
    let to =
        |out: &Path| tool(&["delta", "apply"]).arg(delta).arg("--base").arg(old).arg("--out").arg(out).done();
    let before = fs::read(old).unwrap();
    to(old).expect(1, &["is what the new file is made of; name another"]);
    to(delta).expect(1, &["is what the new file is made of; name another"]);
    to(folder).expect(1, &["is a folder; name a file in it"]);
    to(Path::new("/dev/null")).expect(1, &["`/dev/null` is no file; name one"]);
    to(&folder.join("no folder/new.run"))
        .expect(1, &["No such file or directory", "; name a file where one can be written"]);
    assert!(fs::read(old).unwrap() == before);
    tool(&["delta", "apply", "--out", "x"]).done().expect(1, &["no delta is named; write"]);
}

/// Files may not grow beyond a few kilobytes: as where the disk is full, or where the program is killed while it writes.
#[test]
fn nothing_is_left_by_a_full_disk_or_a_kill() {
    let desk = Desk::new();
    let limited = |trap: &str| {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("{trap} ulimit -f 100; exec \"$@\""),
            "sh",
            env!("CARGO_BIN_EXE_cairnctl"),
        ]);
        shell.args(["delta", "apply"]).arg(&desk.pair.delta).arg("--base").arg(&desk.pair.old);
        shell.arg("--out").arg(desk.out()).done()
    };
    limited("trap '' XFSZ;").expect(4, &["no room for the", "; make room, or name another place"]);
    desk.nothing_came_out();
    let killed = limited("");
    assert_eq!(killed.code, None, "{}", killed.said);
    desk.nothing_came_out();
}

#[test]
fn it_starts_from_what_the_installation_has_kept() {
    let desk = Desk::new();
    let Pair { old, new, delta, .. } = &desk.pair;
    let root = desk.root("1.0", None);
    desk.apply_to_kept(&root)
        .expect(1, &["made 1.0 with the digest", "was installed from a folder; name that file"]);
    let root = desk.root("1.1", Some(new));
    let (wanted, found) = (Archive::open(old).unwrap(), Archive::open(new).unwrap());
    let (wanted, found) = (hex(&wanted.trailer().digest), hex(&found.trailer().digest));
    desk.apply_to_kept(&root)
        .expect(8, &["made 1.0 with", &wanted, "made 1.1 with", &found, "is installed here; get"]);
    // Of the same name, and not the same.
    let root = desk.root("1.0", Some(new));
    desk.apply_to_kept(&root).expect(8, &[&wanted, &found]);
    let root = desk.root("1.0", Some(&damaged(old)));
    desk.apply_to_kept(&root).expect(2, &["that was kept is of no use", "name it with --base FILE"]);
    fs::remove_file(root.join("var/lib/cairn/receipt.json")).unwrap();
    desk.apply_to_kept(&root).expect(1, &["nothing is installed below", "; name that file with --base FILE"]);
    desk.nothing_came_out();
    let root = desk.root("1.0", Some(old));
    desk.apply_to_kept(&root).expect(0, &["made made 1.1 of 1.0"]);
    assert!(fs::read(desk.out()).unwrap() == fs::read(new).unwrap());
    fs::remove_file(desk.out()).unwrap();
    // The file itself as the delta, as its head calls this program.
    let mut own = tool(&["--archive"]);
    own.arg(delta).args(["delta", "apply", "--root"]).arg(&root).arg("--out").arg(desk.out());
    own.done().expect(0, &["made made 1.1 of 1.0"]);
    assert!(fs::read(desk.out()).unwrap() == fs::read(new).unwrap());
}

#[test]
fn other_verbs_say_what_it_is() {
    let desk = Desk::new();
    let about = |words: &[&str]| tool(&["--archive"]).arg(&desk.pair.delta).args(words).done();
    let digest = hex(&Archive::open(&desk.pair.old).unwrap().trailer().digest);
    let root = desk.root("1.0", None);
    let root = root.to_str().unwrap();
    about(&["verify", "--root", root]).expect(0, &["ok: made 1.1, a delta from 1.0, every byte", &digest]);
    about(&["inspect"]).expect(0, &["made 1.1, a delta from 1.0\n", &digest, "not signed"]);
    about(&["version"]).expect(0, &["made 1.1, a delta from 1.0\n"]);
    for verb in ["list", "extract"] {
        about(&[verb])
            .expect(1, &["is a delta, which makes made 1.1 of 1.0; make the whole file first: sh "]);
    }
    let base = desk.pair.old.to_str().unwrap();
    let whole = tool(&["--archive"]).arg(&desk.pair.new).args(["preflight", "--base", base]).done();
    whole.expect(1, &["--base is the file that a delta starts from"]);
    // What stands in the way of the new file, which is put together for that.
    let report = about(&["preflight", "--json", "--root", root, "--no-start", "--base", base]);
    assert!(report.said.contains("\"checks\""), "{}", report.said);
    let missing = about(&["preflight", "--json", "--root", root, "--no-start"]);
    missing.expect(1, &["was installed from a folder; name that file"]);
}
