//! A booted machine: a clone with a real systemd as its process 1 and no network but loopback.
//!
//! systemd-nspawn boots it, below the clone's holder, with every capability and a control group of its own, so that
//! it behaves as a host does: it has its own units, journal, users, bridges, and devices made by mknod. It shares this
//! machine's kernel: no modules, no loop devices beyond what that kernel has.

use crate::boot::{Console, PATIENCE, Running};
use crate::cgroup;
use crate::clones::{CloneOptions, RootClone};
use crate::files::Tree;
use crate::invocation::{Invocation, Output};
use crate::mount::{Bind, Device};
use crate::root::Root;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};

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

    /// Turns it on, when it is off.
    pub fn start(&mut self) -> Result<()> {
        if self.running().is_some() {
            bail!("`{}` is on already", self.name());
        }
        // It may have turned itself off.
        self.poweroff()?;
        self.running = Some(Running::boot(&self.clone, &self.options)?);
        Ok(())
    }

    /// Runs a command in the machine and waits for its end.
    ///
    /// Fails when it cannot be started, takes too long, or the machine is off; that it ended badly is told by its
    /// [`Output`]. The command is no unit of the machine: what it leaves running runs until poweroff.
    pub fn run(&self, command: impl Into<Invocation>) -> Result<Output> {
        match self.running() {
            Some(running) => running.run(command.into()),
            None => bail!("`{}` is off; call `start` first", self.name()),
        }
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
        match self.running() {
            Some(running) => PathBuf::from(format!("/proc/{}/root", running.leader())),
            None => self.clone.path(),
        }
    }

    /// A name that no other machine of the testbed has now.
    pub fn name(&self) -> &str {
        self.clone.name()
    }

    /// All that appeared on the console since the first boot.
    pub fn console(&self) -> String {
        Console::of(&self.clone).text()
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
        if !running.wait()? {
            let said = match asked {
                Ok(output) => output.stderr_text(),
                Err(error) => error.to_string(),
            };
            let console = Console::of(&self.clone).last_lines();
            bail!("`systemctl {verb}` did not end `{}`: {said}\n{console}", self.name());
        }
        self.running = None;
        cgroup::remove(self.name())
    }

    /// What is on; `None` also when the machine turned itself off.
    fn running(&self) -> Option<&Running> {
        self.running.as_ref().filter(|running| running.is_on())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // In order if it can be; otherwise the clone's holder ends everything, by process namespace.
        if self.poweroff().is_err()
            && let Some(running) = self.running.take()
        {
            running.abandon();
        }
    }
}
