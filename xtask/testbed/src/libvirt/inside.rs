//! A test that runs inside a room with libvirt, and what it finds there.

use super::{KILL, Libvirtd, START, pid, pid_file, script, virsh_words};
use crate::inside::{TestProgram, enter};
use crate::{LinuxOptions, Mount, Testbed};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What a test finds in the room.
#[derive(Debug)]
pub struct Inside {
    /// Whether libvirtd is there already.
    pub start: Start,
    /// File systems, folders of this machine and devices; none unless given, so also no /dev/net/tun.
    pub mounts: Vec<Mount>,
    /// Files that are written before anything starts.
    pub files: Vec<File>,
    /// Disks of the Linux guest, by their paths in the room.
    pub linux_disks: Vec<(PathBuf, LinuxOptions)>,
    /// Programs of this machine, in the room under the same paths, not to be written.
    pub executables: Vec<PathBuf>,
    /// How long the test may take; ten minutes unless given.
    pub limit: Duration,
}

impl Default for Inside {
    fn default() -> Self {
        Self {
            start: Start::Libvirtd,
            mounts: Vec::new(),
            files: Vec::new(),
            linux_disks: Vec::new(),
            executables: Vec::new(),
            limit: Duration::from_secs(600),
        }
    }
}

/// What runs in the room when the test begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// virtlogd and libvirtd.
    #[default]
    Libvirtd,
    /// Nothing; [`start_libvirtd`] starts them.
    Nothing,
}

/// A file of the room.
#[derive(Clone, Debug)]
pub struct File {
    /// Where, absolute.
    pub path: PathBuf,
    /// As chmod takes it, 0o644.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Runs `test` in a room with libvirt, as the superuser, with `virsh` and `qemu-img` in PATH and nothing but a loopback
/// device in the network. `name` is that of the test function which calls this.
///
/// ```no_run
/// use xtask_testbed::libvirt::{Inside, inside, virsh};
/// #[test]
/// fn there_is_nothing_yet() {
///     inside("there_is_nothing_yet", &Inside::default(), || {
///         assert_eq!(virsh(["list", "--all", "--name"]).unwrap(), "");
///     });
/// }
/// ```
///
/// The calling test makes the clone and the room, with the folder of the test program in it under the same path, and
/// starts the program there again for this one test; that one runs `test`. Its environment holds PATH, HOME and
/// LC_ALL alone. What it says is passed on when it has ended. What the test function does before this call, it does in
/// both places.
///
/// # Panics
/// When the test fails inside, takes too long, or the room cannot be made.
pub fn inside(name: &str, options: &Inside, test: impl FnOnce()) {
    enter(name, test, |program| outside(program, options));
}

fn outside(program: &TestProgram, options: &Inside) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    let testbed = Testbed::from_env()?;
    let virt = testbed.virt(&say)?;
    let clone = super::clone(&virt)?;
    for file in &options.files {
        clone.write(&file.path, file.mode, &file.content)?;
    }
    for (path, options) in &options.linux_disks {
        clone.write(path, 0o600, testbed.linux_guest(&say)?.disk(options)?)?;
    }
    let mut mounts = options.mounts.clone();
    mounts.extend(program.mounts(&options.executables)?);
    let libvirtd;
    let bare;
    let room = match options.start {
        Start::Libvirtd => {
            libvirtd = Libvirtd::start(&clone, &mounts)?;
            libvirtd.room()
        }
        Start::Nothing => {
            bare = clone.room(&mounts)?;
            &bare
        }
    };
    program.run(room, &clone, options.limit)
}

/// What `virsh --quiet` says, without white space around it; an error when it fails. Inside a room.
pub fn virsh(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<String> {
    Ok(virsh_words(words).run_here()?.checked()?.stdout_text().trim().to_owned())
}

/// Starts libvirtd, and virtlogd if that does not run; waits until libvirtd answers. Inside a room.
pub fn start_libvirtd() -> Result<()> {
    script(START).run_here()?.checked().map(drop).context("libvirtd does not start")
}

/// Kills libvirtd with SIGKILL, and waits until it is gone. What it started runs on. Inside a room.
pub fn kill_libvirtd() -> Result<()> {
    script(KILL).run_here()?.checked().map(drop).context("libvirtd cannot be killed")
}

/// The number of a running domain's QEMU. Inside a room.
pub fn qemu_pid(domain: &str) -> Result<u32> {
    let file = pid_file(domain);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{file}`"))?;
    pid(domain, &text)
}
