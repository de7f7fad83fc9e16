//! File systems that are full, read-only, forbid programs or refuse direct I/O: in namespaces on a clone of the testbed.

use packaging_archive::{Archive, HELPER};
use xtask_testbed::{Bind, CloneOptions, Invocation, Listing, Mount, Output, Room, RootClone};

use crate::pair::Pair;
use crate::support::{run_file, testbed};

const FILE: &str = "/media/a disk/cairn.run";

fn clone() -> RootClone {
    RootClone::new(testbed().host(), CloneOptions::default()).unwrap()
}

/// A room with the packed file on a medium that is read-only, and these mounts.
fn room<'a>(clone: &'a RootClone, mounts: &[Mount]) -> Room<'a> {
    let mut all = mounts.to_vec();
    all.push(Bind::read_only(run_file(), FILE).into());
    clone.room(&all).unwrap()
}

/// `sh FILE WORDS`; with `--root /r --no-start --yes` for an installation.
fn run(room: &Room<'_>, words: &[&str]) -> Output {
    room.run(Invocation::new("sh").arg(FILE).args(words).dir("/root")).unwrap()
}

fn install(room: &Room<'_>) -> Output {
    run(room, &["--root", "/r", "--no-start", "--yes"])
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &str) {
    let (out, err) = (output.stdout_text(), output.stderr_text());
    assert_eq!(output.code(), Some(code), "{out}\n{err}");
    assert!(out.contains(words) || err.contains(words), "`{words}` is not said:\n{out}\n{err}");
}

fn listing(room: &Room<'_>) -> Listing {
    Listing::of(&room.path().join("r"), &[]).unwrap()
}

/// A root below which this folder is a mount, so that room and flags are its own.
fn below(folder: &str, mount: impl Fn(String) -> Mount) -> Mount {
    mount(format!("/r{folder}"))
}

#[test]
fn no_room_is_4_and_changes_nothing() {
    for folder in ["/opt", "/var/lib"] {
        let clone = clone();
        let room = room(&clone, &[below(folder, Mount::tmpfs).size_bytes(2 << 20)]);
        let before = listing(&room);
        expect(&install(&room), 4, "make room for");
        assert_eq!(before.diff(&listing(&room)), "", "{folder}");
    }
}

#[test]
fn a_limit_that_is_hit_meanwhile_is_4_and_rolled_back() {
    let clone = clone();
    // As with a quota, preflight has no figure to read. The helper stays below this limit, the server's program does not.
    let room = room(&clone, &[]);
    room.run(["mkdir", "/r"]).unwrap();
    let before = listing(&room);
    let small =
        Invocation::sh("trap '' XFSZ; ulimit -f 8000; exec sh \"$1\" --root /r --no-start --yes").arg(FILE);
    let output = room.run(small).unwrap();
    expect(&output, 4, "everything was put back as it was");
    assert_eq!(before.diff(&listing(&room)), "");
}

#[test]
fn read_only_is_3_and_says_how_to_go_on() {
    for folder in ["/opt", "/etc", "/var"] {
        let clone = clone();
        let room = room(&clone, &[below(folder, Mount::tmpfs).read_only()]);
        let before = listing(&room);
        expect(&install(&room), 3, &format!("remount,rw /r{folder}"));
        assert_eq!(before.diff(&listing(&room)), "", "{folder}");
    }
}

#[test]
fn programs_that_may_not_run_are_3() {
    let clone = clone();
    let room = room(&clone, &[below("/opt", Mount::tmpfs).noexec()]);
    let before = listing(&room);
    expect(&install(&room), 3, "remount,exec /r/opt");
    assert_eq!(before.diff(&listing(&room)), "");
}

#[test]
fn another_scratch_folder_is_found() {
    let clone = clone();
    let mounts = [
        Mount::tmpfs("/no").noexec(),
        Mount::tmpfs("/var/tmp").read_only(),
        Mount::tmpfs("/tmp").size_bytes(4 << 20),
    ];
    let room = room(&clone, &mounts);
    room.run(["mkdir", "/r"]).unwrap();
    let words =
        Invocation::new("sh").arg(FILE).args(["--root", "/r", "--no-start", "--yes"]).env("TMPDIR", "/no");
    expect(&room.run(words).unwrap(), 0, "is installed");
    for folder in ["no", "var/tmp", "tmp"] {
        let left = room.path().join(folder).read_dir().unwrap().count();
        assert_eq!(left, 0, "/{folder} holds something");
    }
}

#[test]
fn whatever_tmp_is_like_it_installs_and_leaves_nothing_there() {
    let kinds: [fn(Mount) -> Mount; 3] = [Mount::noexec, Mount::read_only, |mount| mount.size_bytes(4 << 20)];
    for kind in kinds {
        let clone = clone();
        let room = room(&clone, &[kind(Mount::tmpfs("/tmp"))]);
        room.run(["mkdir", "/r"]).unwrap();
        expect(&install(&room), 0, "is installed");
        assert_eq!(room.path().join("tmp").read_dir().unwrap().count(), 0);
        expect(&run(&room, &["uninstall", "--root", "/r", "--yes", "--purge"]), 0, "uninstalled");
        assert_eq!(listing(&room).entries().count(), 0);
    }
}

#[test]
fn a_full_scratch_folder_is_no_damage() {
    let clone = clone();
    let small = |at: &str| Mount::tmpfs(at).size_bytes(64 << 10);
    let room = room(&clone, &[small("/no")]);
    let check = Invocation::new("sh").arg(FILE).arg("--check").dir("/root").env("TMPDIR", "/no");
    expect(&room.run(check).unwrap(), 0, "ok: ");
    assert_eq!(room.path().join("no").read_dir().unwrap().count(), 0, "the full folder is left as it was");

    let everywhere = ["/no", "/var/tmp", "/tmp", "/root", "/media/a disk"].map(small);
    let room = self::room(&clone, &everywhere);
    let install =
        Invocation::new("sh").arg(FILE).args(["--root", "/r", "--yes"]).dir("/root").env("TMPDIR", "/no");
    expect(&room.run(install).unwrap(), 4, "no folder here has room");
    for folder in ["no", "var/tmp", "tmp", "root"] {
        assert_eq!(room.path().join(folder).read_dir().unwrap().count(), 0, "/{folder} holds something");
    }
}

#[test]
fn with_sh_alone_it_still_checks_lists_and_extracts() {
    let clone = clone();
    let mounts = ["/var/tmp", "/tmp", "/root", "/data", "/media/a disk"].map(|at| Mount::tmpfs(at).noexec());
    let room = room(&clone, &mounts);
    for verb in ["--check", "verify"] {
        expect(&run(&room, &[verb]), 0, "the bytes are those that were packed");
    }
    // What it cannot do it does not pass over.
    for words in [&["--check", "--trust", "key.pub"][..], &["verify", "--require-signature=key.pub"]] {
        expect(&run(&room, words), 3, "sh alone checks no signature");
    }
    expect(&run(&room, &["--list"]), 0, "bin/cairn-server");
    expect(&run(&room, &["--info"]), 0, "\"toolchain\"");
    expect(&run(&room, &["extract", "out"]), 0, "");
    expect(&run(&room, &["--noexec", "--target", "/data/out"]), 0, "");
    let lists = ["root/out", "data/out"].map(|path| Listing::of(&room.path().join(path), &[]).unwrap());
    assert_eq!(lists[0].diff(&lists[1]), "");
    assert!(lists[0].to_string().contains("/bin/cairn-agent  file 0755"), "{}", lists[0]);
    let before = Listing::of(&clone.path(), &["/root", "/data"]).unwrap();
    for words in [&[][..], &["--yes"], &["install", "--yes"], &["uninstall", "--yes"]] {
        expect(&run(&room, words), 3, "set TMPDIR to one that does");
    }
    assert_eq!(before.diff(&Listing::of(&clone.path(), &["/root", "/data"]).unwrap()), "");
}

#[test]
fn a_volume_folder_without_direct_io_is_told() {
    let clone = clone();
    let room = room(&clone, &[below("/var/lib/cairn/volumes", Mount::ramfs)]);
    let preflight = run(&room, &["preflight", "--root", "/r", "--no-start"]);
    expect(&preflight, 0, "(ramfs): refused (EINVAL at open); cache mode `auto` becomes `writeback`");
    expect(&install(&room), 0, "WARN  direct-io");
    // Volumes on a file system of their own are emptied by a purge, and their mount stays.
    room.run(Invocation::sh("echo x > /r/var/lib/cairn/volumes/disk")).unwrap();
    expect(&run(&room, &["uninstall", "--root", "/r", "--yes"]), 0, "keep /r/var/lib/cairn/volumes: volumes");
    expect(&run(&room, &["uninstall", "--root", "/r", "--yes", "--purge"]), 0, "uninstalled");
    let left: Vec<_> = listing(&room).entries().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(left, ["/var", "/var/lib", "/var/lib/cairn", "/var/lib/cairn/volumes"]);
}

#[test]
fn a_delta_reads_from_a_read_only_medium_and_needs_room_where_it_writes() {
    let files = tempfile::tempdir().unwrap();
    let mut helper = Vec::new();
    Archive::open(run_file()).unwrap().read_entry(HELPER, &mut helper).unwrap();
    Pair::make(files.path(), "payload", &helper);
    let clone = clone();
    let medium = || Bind::read_only(files.path(), "/media/two files").into();
    let mounts =
        [medium(), Mount::tmpfs("/small").size_bytes(2 << 20), Mount::tmpfs("/big").size_bytes(64 << 20)];
    let room = clone.room(&mounts).unwrap();
    let apply = |out: &str| {
        let words =
            ["/media/two files/delta.run", "apply", "--base", "/media/two files/old.run", "--out", out];
        room.run(Invocation::new("sh").args(words).dir("/root")).unwrap()
    };
    expect(&apply("/big/new file.run"), 0, "made payload 1.1 of 1.0");
    let made = std::fs::read(room.path().join("big/new file.run")).unwrap();
    assert!(made == std::fs::read(files.path().join("new.run")).unwrap());
    expect(&apply("/small/new.run"), 4, "; make room, or name another place");
    assert_eq!(room.path().join("small").read_dir().unwrap().count(), 0);
    expect(&apply("/media/two files/x.run"), 1, "; name a file where one can be written");
}
