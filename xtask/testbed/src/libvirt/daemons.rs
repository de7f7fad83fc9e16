//! libvirtd in a room, seen from outside.

use super::{KILL, START, pid, pid_file, script, virsh_words};
use crate::{Mount, Room, RootClone};
use anyhow::{Context, Result};
use std::ffi::OsString;

/// libvirtd and virtlogd, running in a room of their own.
#[derive(Debug)]
pub struct Libvirtd<'a> {
    room: Room<'a>,
}

impl<'a> Libvirtd<'a> {
    /// Opens a room in `clone`, which comes from [`clone`](super::clone()), with these mounts, and starts the daemons.
    pub fn start(clone: &'a RootClone, mounts: &[Mount]) -> Result<Self> {
        let libvirtd = Self { room: clone.room(mounts)? };
        libvirtd.start_again()?;
        Ok(libvirtd)
    }

    /// Starts libvirtd after it was killed, and virtlogd if that does not run; waits until libvirtd answers.
    pub fn start_again(&self) -> Result<()> {
        self.room.run(script(START))?.checked().context("libvirtd does not start")?;
        Ok(())
    }

    /// Kills libvirtd with SIGKILL, and waits until it is gone. What it started runs on.
    pub fn kill(&self) -> Result<()> {
        self.room.run(script(KILL))?.checked().context("libvirtd cannot be killed")?;
        Ok(())
    }

    /// What `virsh --quiet` says, without white space around it; an error when it fails.
    pub fn virsh(&self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<String> {
        Ok(self.room.run(virsh_words(words))?.checked()?.stdout_text().trim().to_owned())
    }

    /// The number of a running domain's QEMU, as the room counts.
    pub fn qemu_pid(&self, domain: &str) -> Result<u32> {
        let text = self.room.run(["cat", &pid_file(domain)])?.checked()?.stdout_text();
        pid(domain, &text)
    }

    /// The room, for other commands.
    pub fn room(&self) -> &Room<'a> {
        &self.room
    }
}
