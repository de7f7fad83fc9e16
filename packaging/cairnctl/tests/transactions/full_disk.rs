//! A disk that becomes full after preflight has found room: with no room at all, with a little more, and so on until there is
//! enough. So each write in turn is the one that fails, and with it the one behind which everything has to be put back. The disk
//! is one of memory, in a mount namespace of the test's own, and both of its ends are tried: bytes and inodes.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::own_mounts::{mount, with_own_mounts};
use crate::restored::{RESTORE, with_a_backup};
use crate::stage::{Done, INSTALL, ROLLBACK, Stage, UNINSTALL, UPGRADE, Verb};

/// What preflight finds enough.
const PLENTY: &str = "size=192m,nr_inodes=20000";

/// Each size up to this one is tried; above it one of three, or with `CAIRN_TEST_FULL` each.
const EACH: u64 = 12;

/// Which end a disk comes to, and how many are let through from one try to the next.
#[derive(Clone, Copy, Debug)]
enum End {
    Bytes,
    Inodes,
}

/// The root of a stage, as a disk.
struct Disk {
    stage: Stage,
}

impl Disk {
    fn of(stage: Stage) -> Self {
        stage.keep("before");
        let root = stage.root();
        mount(&["-t", "tmpfs", "-o", PLENTY, "tmpfs"], &root);
        Self { stage }
    }

    /// Makes it again what it was.
    fn back(&self) {
        mount(&["-o", &format!("remount,{PLENTY}")], &self.stage.root());
        let root = self.stage.root();
        let script = "find \"$1\" -mindepth 1 -delete && cp -a \"$2/.\" \"$1\"";
        let before = root.with_file_name("before");
        let done = Command::new("sh").args(["-c", script, "sh"]).args([&root, &before]).status();
        assert!(done.unwrap().success());
    }

    /// Leaves so much on it.
    fn leave(&self, end: End, left: u64) {
        let root = self.stage.root();
        let disk = statvfs(&root).unwrap();
        let option = match end {
            End::Bytes => format!("size={}", (disk.f_blocks - disk.f_bfree + left) * disk.f_frsize),
            End::Inodes => format!("nr_inodes={}", disk.f_files - disk.f_ffree + left),
        };
        mount(&["-o", &format!("remount,{option}")], &root);
    }

    /// Runs the verb, and leaves so much on the disk before the first change.
    fn run(&self, verb: Verb, end: End, left: u64) -> Done {
        let tool = Command::new(env!("CARGO_BIN_EXE_cairnctl"));
        let mut command = self.stage.command(tool, verb, &[], "stop:0");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid), options).unwrap().unwrap();
        assert!(status.stopped(), "{:?} came by no place", verb.words);
        self.leave(end, left);
        kill_process(pid, Signal::CONT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), None);
        Done::of(&output)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.stage.root()).status();
    }
}

/// The verb on a disk that is full, a little less full, and so on.
fn at_every_write(stage: Stage, verb: Verb, end: End) {
    let disk = Disk::of(stage);
    disk.back();
    let old = disk.stage.listing();
    disk.stage.run(verb, &[], "").expect(0);
    let new = disk.stage.listing();
    // A file takes whole pages of four blocks, an inode is one.
    let mut left = 0;
    loop {
        disk.back();
        let when = format!("{:?} with {left} {end:?} left", verb.words);
        let done = disk.run(verb, end, left);
        if done.code == Some(0) {
            assert_eq!(new.diff(&disk.stage.listing()), "", "{when}");
            break;
        }
        assert_eq!(done.code, Some(4), "{when}: {}", done.said);
        let root = disk.stage.root().display().to_string();
        assert!(
            done.said.lines().any(|line| line.contains(&root) && line.contains("make room")),
            "{when}: {}",
            done.said
        );
        assert_eq!(old.diff(&disk.stage.listing()), "", "{when}");
        left += if left < EACH || std::env::var_os("CAIRN_TEST_FULL").is_some() { 1 } else { 3 };
    }
    println!("{:?}: {left} {end:?} are enough", verb.words);
    assert!(left > 0, "{:?}: the disk was never full", verb.words);
}

#[test]
fn an_installation_without_room() {
    with_own_mounts("full_disk::an_installation_without_room", || {
        at_every_write(Stage::after(&[]), INSTALL, End::Bytes);
        at_every_write(Stage::after(&[]), INSTALL, End::Inodes);
    });
}

#[test]
fn an_upgrade_without_room() {
    with_own_mounts("full_disk::an_upgrade_without_room", || {
        at_every_write(Stage::after(&[INSTALL]), UPGRADE, End::Bytes);
        at_every_write(Stage::after(&[INSTALL]), UPGRADE, End::Inodes);
    });
}

#[test]
fn a_way_back_without_room() {
    with_own_mounts("full_disk::a_way_back_without_room", || {
        at_every_write(Stage::after(&[INSTALL, UPGRADE]), ROLLBACK, End::Bytes);
        at_every_write(Stage::after(&[INSTALL, UPGRADE]), ROLLBACK, End::Inodes);
    });
}

#[test]
fn a_removal_without_room() {
    with_own_mounts("full_disk::a_removal_without_room", || {
        at_every_write(Stage::after(&[INSTALL]), UNINSTALL, End::Inodes);
        at_every_write(Stage::after(&[INSTALL]), UNINSTALL, End::Bytes);
    });
}

#[test]
fn a_restore_without_room() {
    with_own_mounts("full_disk::a_restore_without_room", || {
        at_every_write(with_a_backup(), RESTORE, End::Bytes);
        at_every_write(with_a_backup(), RESTORE, End::Inodes);
    });
}
