//! A power cut at every place between two changes: what was not flushed to the disk is gone. The root lies on an ext4 in a file,
//! and the file is copied while the run is stopped: the copy is the disk as it would be found after that. The file system does
//! not flush by itself for hours, and not when a file is replaced either.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use xtask_testbed::Listing;

use crate::own_mounts::{mount, with_own_mounts};
use crate::stage::{INSTALL, PURGE, ROLLBACK, Stage, UPGRADE, Verb};

/// Large enough for preflight; the file takes what is written.
const SIZE: u64 = 320 << 20;

/// How many places a run has at least.
const FEW: usize = 20;

/// A stage whose root is a disk, with its images beside it.
struct Disk {
    stage: Stage,
}

impl Disk {
    /// One on which these were done.
    fn after(verbs: &[Verb]) -> Self {
        let stage = Stage::after(verbs);
        stage.keep("before");
        let disk = Self { stage };
        let image = disk.image("before");
        std::fs::File::create(&image).unwrap().set_len(SIZE).unwrap();
        run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        disk.plug("before");
        let (from, to) = (disk.image("before").with_extension(""), disk.stage.root());
        run("cp", &["-a", &format!("{}/.", from.display()), to.to_str().unwrap()]);
        disk.unplug();
        disk
    }

    fn image(&self, name: &str) -> PathBuf {
        self.stage.root().with_file_name(format!("{name}.img"))
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.image(name).display().to_string());
        run("cp", &["--sparse=always", &from, &to]);
    }

    fn plug(&self, name: &str) {
        let root = self.stage.root();
        // What there was before it became a place to mount to.
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir(&root).unwrap();
        let image = self.image(name).display().to_string();
        mount(&["-o", "loop,noauto_da_alloc,commit=10000", &image], &root);
    }

    fn unplug(&self) {
        run("umount", &[self.stage.root().to_str().unwrap()]);
    }

    /// What `look` finds on a copy of a disk.
    fn on<T>(&self, name: &str, look: impl FnOnce(&Stage) -> T) -> T {
        self.copy(name, "used");
        self.plug("used");
        let found = look(&self.stage);
        self.unplug();
        found
    }

    /// Runs the verb up to a place, and leaves the disk as it is found then as `cut`. False if it came to its end before.
    fn cut(&self, verb: Verb, place: usize) -> bool {
        self.copy("before", "used");
        self.plug("used");
        let tool = Command::new(env!("CARGO_BIN_EXE_cairnctl"));
        let mut command = self.stage.command(tool, verb, &[], &format!("stop:{place}"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let is_cut = waitid(WaitId::Pid(pid), options).unwrap().unwrap().stopped();
        if is_cut {
            self.copy("used", "cut");
            kill_process(pid, Signal::KILL).unwrap();
        }
        assert_eq!(child.wait().unwrap().success(), !is_cut);
        self.unplug();
        is_cut
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", "--quiet"]).arg(self.stage.root()).status();
    }
}

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Cut at each place, and gone on with, and taken back.
fn everywhere(before: &[Verb], verb: Verb) {
    let disk = Disk::after(before);
    let old = disk.on("before", Stage::listing);
    let new = disk.on("before", |stage| {
        stage.run(verb, &[], "").expect(0);
        stage.listing()
    });
    let mut place = 0;
    while disk.cut(verb, place) {
        let when = format!("{:?}, cut at {place}", verb.words);
        disk.on("cut", |stage| gone_on_with(stage, verb, &old, &new, &when));
        disk.on("cut", |stage| taken_back(stage, verb, &old, &new, &when));
        place += 1;
    }
    println!("{:?}: {place} places", verb.words);
    assert!(place > FEW, "{:?}: {place}", verb.words);
}

fn gone_on_with(stage: &Stage, verb: Verb, old: &Listing, new: &Listing, when: &str) {
    let resumed = stage.run(verb, &["--resume"], "");
    if resumed.code == Some(1) {
        // Nothing had begun, as far as the disk knows, or all had ended.
        resumed.says("was interrupted; leave out --resume");
        if new.diff(&stage.listing()).is_empty() {
            return;
        }
        assert_eq!(old.diff(&stage.listing()), "", "{when}");
        stage.run(verb, &[], "").expect(0);
    } else {
        assert_eq!(resumed.code, Some(0), "{when}: {}", resumed.said);
    }
    assert_eq!(new.diff(&stage.listing()), "", "{when}, and gone on with");
}

fn taken_back(stage: &Stage, verb: Verb, old: &Listing, new: &Listing, when: &str) {
    let undone = stage.run(verb, &["--undo"], "");
    if undone.code == Some(8) {
        undone.says("is done but for clearing away");
        return;
    }
    assert_eq!(undone.code, Some(0), "{when}: {}", undone.said);
    let now = stage.listing();
    if !new.diff(&now).is_empty() {
        assert_eq!(old.diff(&now), "", "{when}, and taken back");
    }
}

#[test]
fn an_installation() {
    with_own_mounts("power_cut::an_installation", || everywhere(&[], INSTALL));
}

#[test]
fn an_upgrade() {
    with_own_mounts("power_cut::an_upgrade", || everywhere(&[INSTALL], UPGRADE));
}

#[test]
fn a_way_back() {
    with_own_mounts("power_cut::a_way_back", || everywhere(&[INSTALL, UPGRADE], ROLLBACK));
}

#[test]
fn a_removal() {
    with_own_mounts("power_cut::a_removal", || everywhere(&[INSTALL], PURGE));
}
