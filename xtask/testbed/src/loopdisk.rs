//! A file system of a kind that a test chooses, on a loop device with sectors of a size that it chooses. Inside a room, which
//! has [`Device::LoopControl`](crate::Device::LoopControl).
//!
//! Loop devices are the machine's. Each is told to go when its file system is unmounted, which the end of the room does at the
//! latest.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::Invocation;

/// How large one is, in bytes. The file takes what is written to it. `mkfs.xfs` makes none below 300 MB.
const SIZE_BYTES: u64 = 320 << 20;

/// The nodes of loop devices, which a room has none of. The kernel has as many as are asked for.
const NODES: &str = "for n in $(seq 0 63); do test -e /dev/loop$n || mknod -m 600 /dev/loop$n b 7 $n; done";

/// What is made, and how it is mounted.
#[derive(Clone, Copy, Debug)]
pub struct LoopDisk<'a> {
    /// `ext4`, `xfs`, `btrfs`.
    pub kind: &'a str,
    /// Size of the device's sectors, in bytes: 512 or 4096.
    pub sector_bytes: u32,
    /// As `mount` takes them; may be empty.
    pub options: &'a str,
}

/// A file system that is mounted until this is dropped.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl LoopDisk<'_> {
    /// Makes and mounts one at `at`, which is made; the file lies beside it.
    ///
    /// # Errors
    /// Where the kernel lacks what it takes, for example. See [`lacks`].
    pub fn mount(self, at: &Path) -> Result<Mounted> {
        let file = at.with_extension("img");
        std::fs::create_dir_all(at).with_context(|| format!("cannot make `{}`", at.display()))?;
        let made = std::fs::File::create(&file).and_then(|made| made.set_len(SIZE_BYTES));
        made.with_context(|| format!("cannot make `{}`", file.display()))?;
        Invocation::sh(NODES).run_here()?.checked()?;
        let sector = self.sector_bytes.to_string();
        let words = ["--find", "--show", "--sector-size", &sector];
        let device = Invocation::new("losetup").args(words).arg(&file).run_here()?.checked()?;
        let device = device.stdout_text().trim().to_owned();
        let mounted = self.on(&device, at);
        // From now on it goes when nobody has it, so that none is left whatever becomes of the test.
        Invocation::new("losetup").args(["--detach", &device]).run_here()?.checked()?;
        mounted
    }

    fn on(self, device: &str, at: &Path) -> Result<Mounted> {
        let force = if self.kind == "ext4" { "-F" } else { "-f" };
        let program = format!("mkfs.{}", self.kind);
        Invocation::new(program).args(["-q", force, device]).run_here()?.checked()?;
        mount(self.kind, self.options, device, at)
    }
}

/// Mounts a file system without a device, or with one: `mount -t kind -o options source at`.
///
/// # Errors
/// What `mount` says.
pub fn mount(kind: &str, options: &str, source: &str, at: &Path) -> Result<Mounted> {
    std::fs::create_dir_all(at).with_context(|| format!("cannot make `{}`", at.display()))?;
    let options = if options.is_empty() { "rw" } else { options };
    let call = Invocation::new("mount").args(["-t", kind, "-o", options, source]).arg(at);
    call.run_here()?.checked()?;
    Ok(Mounted { at: at.to_owned() })
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a test that failed may have something open there.
        if let Ok(call) = Invocation::new("umount").arg("--lazy").arg(&self.at).run_here() {
            drop(call.checked());
        }
    }
}

/// Whether this kernel has no such file system: /proc/filesystems, after somebody tried to mount one.
///
/// # Errors
/// That it cannot be read.
pub fn lacks(kind: &str) -> Result<bool> {
    let path = "/proc/filesystems";
    let known = std::fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    Ok(!known.lines().any(|line| line.split_whitespace().last() == Some(kind)))
}

/// Whether this machine has no loop devices: they cannot be asked for.
#[must_use]
pub fn lacks_loops() -> bool {
    std::fs::File::open("/dev/loop-control").is_err()
}
