//! A room: namespaces of their own around a clone, for commands that need no booted system.

use crate::clones::RootClone;
use crate::holder::Holder;
use crate::invocation::{Invocation, Output};
use crate::mount::Mount;
use crate::process;
use anyhow::Result;
use std::path::PathBuf;

const SCRIPT: &str = include_str!("scripts/room.sh");

/// Which network a room is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// A new one with a loopback device that is up, and nothing else.
    Loopback,
    /// This machine's: only for building roots.
    Machine,
}

/// Mount, process, network, uts and ipc namespaces with a clone as their root: /proc, a read-only /sys, a private
/// /dev, and what the test had mounted. What a command leaves running is there for the next one. Dropping the room
/// kills whatever runs in it and takes its mounts down; the clone, with what was written to it, stays.
#[derive(Debug)]
pub struct Room<'a> {
    holder: Holder,
    _clone: &'a RootClone,
}

impl<'a> Room<'a> {
    pub(crate) fn open(clone: &'a RootClone, network: Network, mounts: &[Mount]) -> Result<Self> {
        let mut command = process::plain("unshare");
        command.args([
            "--mount",
            "--propagation=private",
            "--pid",
            "--fork",
            "--kill-child",
            "--uts",
            "--ipc",
        ]);
        let network = match network {
            Network::Loopback => {
                command.arg("--net");
                "loopback"
            }
            Network::Machine => "machine",
        };
        command.args(["sh", "-c", SCRIPT, "testbed"]).arg(clone.overlay().inner_path()).arg(network);
        command.args(mounts.iter().flat_map(Mount::words));
        Ok(Self { holder: Holder::start(clone.overlay().enter(&command), "a room")?, _clone: clone })
    }

    /// Runs a command in the room and waits for its end.
    ///
    /// Fails when it cannot be started or takes too long; that it ended badly is told by its [`Output`].
    pub fn run(&self, command: impl Into<Invocation>) -> Result<Output> {
        command.into().run_in(self.holder.first(), &[])
    }

    /// The room's root with its mounts, as this process sees it. See [`RootClone::path`] for what such a path can
    /// and cannot do; a unix socket in the room can be connected to through it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.holder.first()))
    }
}
