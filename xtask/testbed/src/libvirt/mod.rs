//! libvirt in a room, without systemd: its daemons, `virsh`, and tests that run beside them.
//!
//! A test may stand outside the room and drive it ([`Libvirtd`]), or be run in it ([`inside()`]): in the mount, process
//! and network namespace of the daemons, where paths, process numbers and bridges are theirs.

mod daemons;
mod inside;

pub use daemons::Libvirtd;
pub use inside::{File, Inside, Start, inside, kill_libvirtd, qemu_pid, start_libvirtd, virsh};

use crate::{CloneOptions, Invocation, Root, RootClone};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::time::Duration;

const START: &str = include_str!("../scripts/libvirtd.sh");

const KILL: &str = include_str!("../scripts/kill-libvirtd.sh");

/// How long an answer of libvirt's may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(180);

/// QEMU in the control group, the namespaces and the security label that it is started in: a room has none of its own to
/// offer. Its user is the one that Debian chose.
const QEMU_CONF: &str = "remember_owner = 0\nsecurity_driver = \"none\"\n\
                         cgroup_controllers = []\nnamespaces = []\n";

/// A clone of the root with QEMU and libvirt, set up for a room.
pub fn clone(virt: &Root) -> Result<RootClone> {
    let clone = RootClone::new(virt, CloneOptions::default())?;
    clone.write("/etc/libvirt/qemu.conf", 0o600, QEMU_CONF)?;
    Ok(clone)
}

fn virsh_words(words: impl IntoIterator<Item = impl Into<OsString>>) -> Invocation {
    Invocation::new("virsh").arg("--quiet").args(words).limit(PATIENCE)
}

fn script(script: &str) -> Invocation {
    Invocation::sh(script).limit(PATIENCE)
}

/// The file in which libvirt keeps the number of a domain's QEMU.
fn pid_file(domain: &str) -> String {
    format!("/run/libvirt/qemu/{domain}.pid")
}

fn pid(domain: &str, text: &str) -> Result<u32> {
    text.trim().parse().with_context(|| format!("`{}` holds `{text}`, not a number", pid_file(domain)))
}
