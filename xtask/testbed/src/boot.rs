//! Booting a clone: the process that does it, and the first process of what it boots. When a machine is on or off,
//! and what a test may ask of it, is decided in `machine`.

use crate::clones::RootClone;
use crate::invocation::{Invocation, Output};
use crate::machine::MachineOptions;
use crate::mount::{Access, Bind, Device};
use crate::{cgroup, process, procfs};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

/// How long booting and powering off may take on a machine that is busy with other things. Both take about a
/// second on one that is not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines of the console an error shows.
const CONSOLE_LINES: usize = 60;

/// The program that is process 1 of a machine, once it is one.
const INIT: &str = "systemd";

/// --register=no and --keep-unit: no systemd on this machine is asked for anything. --console=read-only: the
/// console goes to our log.
const NSPAWN: [&str; 10] = [
    "--boot",
    "--private-network",
    "--register=no",
    "--keep-unit",
    "--settings=no",
    "--capability=all",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--console=read-only",
];

/// A machine that is on.
#[derive(Debug)]
pub(crate) struct Running {
    /// Our child; it ends when systemd-nspawn does.
    child: Child,
    /// The machine's process 1, in our numbering.
    leader: u32,
    /// The control groups that commands run in.
    groups: Vec<PathBuf>,
}

impl Running {
    /// Boots `clone`, and waits until systemd in it has started everything.
    pub(crate) fn boot(clone: &RootClone, options: &MachineOptions) -> Result<Self> {
        let console = Console::of(clone);
        let log = File::options().create(true).append(true).open(&console.0);
        let log = log.with_context(|| format!("cannot write `{}`", console.0.display()))?;
        let groups = cgroup::create(clone.name())?;
        let mut command = cgroup::command(&groups, "systemd-nspawn");
        command.arg("--directory").arg(clone.overlay().inner_path()).args(["--machine", clone.name()]);
        command.args(NSPAWN).args(options.binds.iter().map(bind));
        let mut command = clone.overlay().enter(&command);
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        // A Debian host has /tmp on its disk.
        command.env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
        let errors = log.try_clone().context("cannot share the console's log")?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().context("cannot start `nsenter`; is util-linux installed?")?;
        let mut running = Self { child, leader: 0, groups: Vec::new() };
        let up = running.wait_until_up(clone.name(), &console);
        let set_up = up.and_then(|()| cgroup::create_for_commands(&groups)).and_then(|groups| {
            running.groups = groups;
            options.devices.iter().try_for_each(|device| running.make(*device))
        });
        match set_up {
            Ok(()) => Ok(running),
            Err(error) => {
                running.abandon();
                Err(error)
            }
        }
    }

    /// Runs a command in the machine.
    pub(crate) fn run(&self, command: Invocation) -> Result<Output> {
        command.run_in(self.leader, &self.groups)
    }

    /// The machine's process 1, in our numbering.
    pub(crate) fn leader(&self) -> u32 {
        self.leader
    }

    /// Whether the machine is still on, and not on its way down: it may have turned itself off. Asked before its
    /// processes' numbers are used, since those are free for others afterwards.
    pub(crate) fn is_on(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(Pid::from_child(&self.child)), options);
        matches!(ended, Ok(None)) && procfs::program(self.leader).as_deref() == Some(INIT)
    }

    /// Waits until it is off; false when it is not within [`PATIENCE`].
    pub(crate) fn wait(&mut self) -> Result<bool> {
        Ok(process::wait(&mut self.child, PATIENCE)?.is_some())
    }

    /// Gives up on it: what it started ends with the clone, and only our own child is left to reap.
    pub(crate) fn abandon(mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }

    fn wait_until_up(&mut self, name: &str, console: &Console) -> Result<()> {
        let mut state = "no process 1 yet".to_owned();
        let mut ended = None;
        process::until(PATIENCE, || {
            ended = self.child.try_wait().context("cannot wait for a machine")?;
            // Until systemd runs, its process-to-be still sees this machine's root, and would ask this machine.
            let first = procfs::first_of_namespace_below(self.child.id());
            let leader = first.filter(|&pid| procfs::program(pid).as_deref() == Some(INIT));
            if let (None, Some(pid)) = (ended, leader) {
                self.leader = pid;
                let ask = Invocation::from(["systemctl", "is-system-running"]).limit(PATIENCE);
                state = ask.run_in(pid, &[])?.stdout_text();
            }
            Ok(ended.is_some() || matches!(state.as_str(), "running" | "degraded"))
        })?;
        match (ended, state.as_str()) {
            (None, "running" | "degraded") => Ok(()),
            (Some(status), _) => {
                bail!("`{name}` ended while it booted ({status}):\n{}", console.last_lines())
            }
            (None, state) => bail!(
                "`{name}` is not up after {} s (systemd says `{state}`):\n{}",
                PATIENCE.as_secs(),
                console.last_lines()
            ),
        }
    }

    fn make(&self, device: Device) -> Result<()> {
        const MAKE: &str =
            r#"[ -e "$1" ] || { mkdir -p "${1%/*}" && mknod -m 660 "$1" c "$2" "$3" && chgrp "$4" "$1"; }"#;
        let (major, minor) = device.numbers();
        // The group exists where Debian's udev is installed.
        let group = match device {
            Device::Kvm => "kvm",
            Device::Tun | Device::Fuse | Device::LoopControl => "root",
        };
        let words = [device.path().to_owned(), major.to_string(), minor.to_string(), group.to_owned()];
        self.run(Invocation::sh(MAKE).args(words))?.checked().map(drop)
    }
}

/// The log of a machine's console, since its first boot.
pub(crate) struct Console(PathBuf);

impl Console {
    pub(crate) fn of(clone: &RootClone) -> Self {
        Self(clone.folder().join("console.log"))
    }

    /// All of it; empty before the first boot.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).replace('\r', "")
    }

    pub(crate) fn last_lines(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

/// The option for a bind mount; a colon in a path is escaped.
fn bind(bind: &Bind) -> OsString {
    let mut word = OsString::from(match bind.access {
        Access::ReadOnly => "--bind-ro=",
        Access::ReadWrite => "--bind=",
    });
    let escaped = |path: &OsStr| {
        let bytes = path.as_bytes().iter();
        let bytes = bytes.flat_map(|&byte| if byte == b':' { vec![b'\\', byte] } else { vec![byte] });
        OsString::from_vec(bytes.collect())
    };
    word.push(escaped(bind.from.as_os_str()));
    word.push(":");
    word.push(escaped(&bind.at));
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_in_a_path_does_not_split_a_bind() {
        assert_eq!(bind(&Bind::read_only("/a:b", "/c")), r"--bind-ro=/a\:b:/c");
        assert_eq!(bind(&Bind::read_write("/a", "/c")), "--bind=/a:/c");
    }
}
