//! A booted machine: a clone with a real systemd as its process 1 and no network but loopback.
//!
//! systemd-nspawn boots it, below the clone's holder, with every capability and a control group of its own, so that
//! it behaves as a host does: it has its own units, journal, users, bridges, and devices made by mknod. It shares this
//! machine's kernel: no modules, no loop devices beyond what that kernel has.

use crate::clones::{CloneOptions, RootClone};
use crate::files::Tree;
use crate::invocation::{Invocation, Output};
use crate::mount::{Access, Bind, Device};
use crate::root::Root;
use crate::{cgroup, process, procfs};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// How long booting and powering off may take on a machine that is busy with other things. Both take about a
/// second on one that is not.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines of the console an error shows.
const CONSOLE_LINES: usize = 60;

/// How a machine is made.
#[derive(Clone, Debug, Default)]
pub struct MachineOptions {
    /// How its clone is made.
    pub clone: CloneOptions,
    /// Devices it has.
    pub devices: Vec<Device>,
    /// Files and folders of this machine that it sees.
    pub binds: Vec<Bind>,
}

/// A machine, on or off. Dropping it powers it off, then ends by process id whatever is left, and removes all it had.
#[derive(Debug)]
pub struct Machine {
    // Dropped in this order, after `drop` below.
    running: Option<Running>,
    clone: RootClone,
    options: MachineOptions,
}

/// A machine that is on.
#[derive(Debug)]
struct Running {
    /// Our child; it ends when systemd-nspawn does.
    child: Child,
    /// The machine's process 1, in our numbering.
    leader: u32,
    /// The control groups that commands run in.
    groups: Vec<PathBuf>,
}

impl Machine {
    /// Clones `root`, boots it, and waits until systemd says `running` or `degraded`.
    ///
    /// Fails when that takes more than 120 seconds; the error has the end of the console's log.
    pub fn boot(root: &Root, options: MachineOptions) -> Result<Self> {
        let clone = RootClone::new(root, options.clone)?;
        Self::boot_clone(clone, options)
    }

    /// Boots a clone that was prepared by hand.
    pub fn boot_clone(clone: RootClone, options: MachineOptions) -> Result<Self> {
        clone.write("/etc/machine-id", 0o644, "")?;
        let mut machine = Self { running: None, clone, options };
        machine.start()?;
        Ok(machine)
    }

    /// Turns it on, when it was powered off.
    pub fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("`{}` is on already", self.name());
        }
        let groups = cgroup::create(self.name())?;
        let console = File::options().create(true).append(true).open(self.console_path());
        let console = console.with_context(|| format!("cannot write `{}`", self.console_path().display()))?;
        let mut command = self.clone.overlay().enter(&cgroup::command(&groups, "systemd-nspawn"));
        command.args(self.nspawn());
        let errors = console.try_clone().context("cannot share the console's log")?;
        command.stdin(Stdio::null()).stdout(console).stderr(errors);
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        // A Debian host has /tmp on its disk.
        command.env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
        let mut child = command.spawn().context("cannot start `nsenter`; is util-linux installed?")?;
        let up = self.wait_until_up(&mut child);
        match up.and_then(|leader| Ok((leader, cgroup::create_for_commands(&groups)?))) {
            Ok((leader, groups)) => self.running = Some(Running { child, leader, groups }),
            Err(error) => {
                // What it started ends with the clone; only our own child is left to reap.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(error);
            }
        }
        self.make_devices()
    }

    /// Runs a command in the machine and waits for its end.
    ///
    /// Fails when it cannot be started, takes too long, or the machine is off; that it ended badly is told by its
    /// [`Output`]. The command is no unit of the machine: what it leaves running runs until poweroff.
    pub fn run(&self, command: impl Into<Invocation>) -> Result<Output> {
        let Some(running) = &self.running else {
            bail!("`{}` is off; call `start` first", self.name());
        };
        command.into().run_in(running.leader, &running.groups)
    }

    /// Runs a command that reads `input`.
    pub fn run_with_stdin(
        &self,
        command: impl Into<Invocation>,
        input: impl Into<Vec<u8>>,
    ) -> Result<Output> {
        self.run(command.into().stdin(input))
    }

    /// The content of a file of the machine, on or off.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        Tree::open(&self.path())?.read(path.as_ref())
    }

    /// Creates or replaces a file of the machine, and the folders on the way. `mode` as chmod takes it, 0o644.
    pub fn write(&self, path: impl AsRef<Path>, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        Tree::open(&self.path())?.write(path.as_ref(), mode, &mut content.as_ref())
    }

    /// Copies a file of this machine into the booted one.
    pub fn copy_in(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, mode: u32) -> Result<()> {
        let from = from.as_ref();
        let mut file = File::open(from).with_context(|| format!("cannot open `{}`", from.display()))?;
        Tree::open(&self.path())?.write(to.as_ref(), mode, &mut file)
    }

    /// The machine's root as this process sees it, with the machine's own mounts while it is on. See
    /// [`RootClone::path`] for what such a path can and cannot do; a unix socket of the machine can be connected to
    /// through it.
    pub fn path(&self) -> PathBuf {
        match &self.running {
            Some(running) => PathBuf::from(format!("/proc/{}/root", running.leader)),
            None => self.clone.path(),
        }
    }

    /// A name that no other machine of the testbed has now.
    pub fn name(&self) -> &str {
        self.clone.name()
    }

    /// All that appeared on the console since the first boot.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.console_path()).unwrap_or_default()).replace('\r', "")
    }

    /// Reboots it by `systemctl reboot`, and waits until it is up again.
    pub fn reboot(&mut self) -> Result<()> {
        self.end("reboot")?;
        self.start()
    }

    /// Turns it off by `systemctl poweroff`, and waits until it is. Its files stay until it is dropped. No error when
    /// it is off already.
    pub fn poweroff(&mut self) -> Result<()> {
        if self.running.is_none() { Ok(()) } else { self.end("poweroff") }
    }

    fn end(&mut self, verb: &str) -> Result<()> {
        // The answer may get lost in the shutdown; that the machine ends is what counts.
        let asked = self.run(Invocation::new("systemctl").arg(verb).limit(PATIENCE));
        let Some(running) = &mut self.running else {
            bail!("`{}` is off; call `start` first", self.name());
        };
        if process::wait(&mut running.child, PATIENCE)?.is_none() {
            let said = match asked {
                Ok(output) => output.stderr_text(),
                Err(error) => error.to_string(),
            };
            bail!("`systemctl {verb}` did not end `{}`: {said}\n{}", self.name(), self.last_lines());
        }
        self.running = None;
        cgroup::remove(self.name())
    }

    /// The words after `systemd-nspawn`. --register=no and --keep-unit: no systemd on this machine is asked for
    /// anything. --console=read-only: the console goes to our log.
    fn nspawn(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--directory".into()];
        words.push(self.clone.overlay().inner_path().into());
        words.extend(["--machine", self.name()].map(OsString::from));
        let fixed = [
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
        words.extend(fixed.map(OsString::from));
        for bind in &self.options.binds {
            let mut word = OsString::from(match bind.access {
                Access::ReadOnly => "--bind-ro=",
                Access::ReadWrite => "--bind=",
            });
            word.push(&bind.from);
            word.push(":");
            word.push(&bind.at);
            words.push(word);
        }
        words
    }

    /// Waits until systemd in the machine has started everything, and returns its process.
    fn wait_until_up(&self, child: &mut Child) -> Result<u32> {
        let mut leader = None;
        let mut state = "no process 1 yet".to_owned();
        let mut ended = None;
        process::until(PATIENCE, || {
            ended = child.try_wait().context("cannot wait for a machine")?;
            // Until systemd runs, its process-to-be still sees this machine's root, and would ask this machine.
            let first = procfs::first_of_namespace_below(child.id());
            leader = first.filter(|&pid| procfs::program(pid).as_deref() == Some("systemd"));
            if let (None, Some(pid)) = (ended, leader) {
                state = Invocation::from(["systemctl", "is-system-running"]).run_in(pid, &[])?.stdout_text();
            }
            Ok(ended.is_some() || matches!(state.as_str(), "running" | "degraded"))
        })?;
        match (ended, leader, state.as_str()) {
            (None, Some(pid), "running" | "degraded") => Ok(pid),
            (Some(status), ..) => {
                bail!("`{}` ended while it booted ({status}):\n{}", self.name(), self.last_lines())
            }
            (None, ..) => bail!(
                "`{}` is not up after {} s (systemd says `{state}`):\n{}",
                self.name(),
                PATIENCE.as_secs(),
                self.last_lines()
            ),
        }
    }

    fn make_devices(&self) -> Result<()> {
        // The group exists where Debian's udev is installed.
        const MAKE: &str =
            r#"[ -e "$1" ] || { mkdir -p "${1%/*}" && mknod -m 660 "$1" c "$2" "$3" && chgrp "$4" "$1"; }"#;
        for device in &self.options.devices {
            let (major, minor) = device.numbers();
            let group = match device {
                Device::Kvm => "kvm",
                Device::Tun => "root",
            };
            let words = [device.path().to_owned(), major.to_string(), minor.to_string(), group.to_owned()];
            self.run(Invocation::sh(MAKE).args(words))?.checked()?;
        }
        Ok(())
    }

    fn console_path(&self) -> PathBuf {
        self.clone.folder().join("console.log")
    }

    fn last_lines(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // In order if it can be; otherwise the clone's holder ends everything, by process namespace.
        if self.poweroff().is_err()
            && let Some(mut running) = self.running.take()
        {
            let _ = running.child.kill().and_then(|()| running.child.wait());
        }
    }
}
