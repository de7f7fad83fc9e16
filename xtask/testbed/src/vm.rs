//! A virtual machine with a kernel and a clock of its own: a root of the testbed on a disk, booted by QEMU in software, with
//! systemd and without a network card.
//!
//! It is slower than a [`Machine`](crate::Machine) by a factor of ten, and is what that cannot be: its kernel has modules, its
//! clock can be set, and what is in memory is its own. QEMU runs in a room of a clone that has it, and ends with that room.
//! Commands go through a serial port, to a unit that the disk has for them.

use crate::clones::{CloneOptions, RootClone};
use crate::invocation::{Invocation, Output};
use crate::process::{self, Input};
use crate::room::Room;
use crate::root::Root;
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SERVE: &str = include_str!("scripts/serve.sh");
const UNIT: &str = include_str!("scripts/serve.service");

/// Where the machine's own files lie, in the clone that has QEMU.
const FOLDER: &str = "/vm";

/// How long booting and powering off may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long making a disk may take.
const DISK_LIMIT: Duration = Duration::from_secs(600);

/// How many lines of the console an error shows.
const CONSOLE_LINES: usize = 60;

/// TCG emulates the processor, and its virtualization, too. No card, and none that QEMU would add by itself.
const QEMU: [&str; 15] = [
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-nodefaults",
    "-nic",
    "none",
    "-display",
    "none",
    "-no-reboot",
    "-daemonize",
    "-append",
    "root=/dev/vda rw console=ttyS0",
];

/// What is emulated beside the disks: a console that is a log, the port for commands, and noise, so that nobody waits for it.
const DEVICES: [&str; 10] = [
    "-serial",
    "file:/vm/console.log",
    "-device",
    "virtio-serial-pci",
    "-chardev",
    "socket,id=channel,path=/vm/channel",
    "-device",
    "virtserialport,chardev=channel,name=testbed",
    "-device",
    "virtio-rng-pci",
];

/// How a virtual machine is made.
#[derive(Clone, Debug)]
pub struct VmOptions {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The size of its disk in bytes, of which only that takes room which is written.
    pub disk_bytes: u64,
    /// Files of this machine on a second disk, which cannot be written: path, and name there.
    pub stick: Vec<(PathBuf, String)>,
}

/// A virtual machine that is on. Dropping it takes its power.
#[derive(Debug)]
pub struct Vm<'a> {
    tools: &'a RootClone,
    _room: Room<'a>,
    channel: RefCell<BufReader<UnixStream>>,
}

impl<'a> Vm<'a> {
    /// Puts `root`, which has a kernel, onto a disk, boots it, and waits until systemd says `running` or `degraded`. `tools` is
    /// a clone with QEMU, for one virtual machine.
    ///
    /// Fails when that takes more than 15 minutes; the error has the end of the console.
    pub fn boot(root: &Root, tools: &'a RootClone, options: &VmOptions) -> Result<Self> {
        make_disks(root, tools, options)?;
        let place = tools.path().join("vm/channel");
        let listener =
            UnixListener::bind(&place).with_context(|| format!("cannot listen at `{}`", place.display()))?;
        let room = tools.room(&[])?;
        let mut qemu = Invocation::new("qemu-system-x86_64").dir(FOLDER).args(QEMU).args(DEVICES);
        qemu =
            qemu.args(["-m", &options.memory_mib.to_string(), "-kernel", "vmlinuz", "-initrd", "initrd.img"]);
        qemu = qemu.args(["-drive", "file=disk.raw,format=raw,if=virtio,cache=unsafe"]);
        if !options.stick.is_empty() {
            qemu = qemu.args(["-drive", "file=stick.raw,format=raw,if=virtio,readonly=on"]);
        }
        // It connects before it goes to the background.
        room.run(qemu)?.checked()?;
        let (channel, _) = listener.accept().context("QEMU does not take the channel")?;
        let vm = Self { tools, _room: room, channel: RefCell::new(BufReader::new(channel)) };
        let state = vm.run(Invocation::from(["systemctl", "is-system-running", "--wait"]).limit(PATIENCE))?;
        match state.stdout_text().as_str() {
            "running" | "degraded" => Ok(vm),
            state => bail!("the virtual machine is not up (systemd says `{state}`):\n{}", vm.last_lines()),
        }
    }

    /// Runs a command in the machine and waits for its end.
    ///
    /// Fails when it takes too long, after which nothing else can be run, or the machine is off; that it ended badly is told by
    /// its [`Output`]. What it leaves running runs on.
    pub fn run(&self, command: impl Into<Invocation>) -> Result<Output> {
        let command = command.into();
        let (code, stdout, stderr) = self
            .exchange(&command)
            .with_context(|| format!("no answer from the virtual machine:\n{}", self.last_lines()))?;
        Ok(command.ended(code, stdout, stderr))
    }

    fn exchange(&self, command: &Invocation) -> Result<(i32, Vec<u8>, Vec<u8>)> {
        let (script, input) = command.line()?;
        let mut channel = self.channel.borrow_mut();
        channel.get_ref().set_read_timeout(Some(command.longest()))?;
        let sink = channel.get_mut();
        sink.write_all(format!("{} {}\n", script.len(), input.len()).as_bytes())?;
        sink.write_all(&script)?;
        sink.write_all(&input)?;
        let mut line = String::new();
        channel.read_line(&mut line)?;
        let numbers: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [code, out, errors] = numbers[..] else {
            bail!("it answers `{}`", line.trim_end());
        };
        let mut read = |size: usize| -> Result<Vec<u8>> {
            let mut bytes = vec![0; size];
            channel.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        Ok((i32::try_from(code)?, read(out)?, read(errors)?))
    }

    /// All that appeared on the console.
    pub fn console(&self) -> String {
        let log = fs::read(self.tools.path().join("vm/console.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).replace('\r', "")
    }

    /// Turns it off by `systemctl poweroff`, and waits until it is.
    pub fn poweroff(self) -> Result<()> {
        // The answer may get lost in the shutdown; that the machine ends is what counts.
        let _ = self.exchange(&Invocation::from(["systemctl", "poweroff"]).limit(PATIENCE));
        let mut rest = Vec::new();
        let mut channel = self.channel.borrow_mut();
        channel.get_ref().set_read_timeout(Some(PATIENCE))?;
        let ended = channel.read_to_end(&mut rest);
        ended.with_context(|| format!("`systemctl poweroff` did not end it:\n{}", self.last_lines()))?;
        Ok(())
    }

    fn last_lines(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

/// The disk with the root, the one with files, and what boots the first.
fn make_disks(root: &Root, tools: &RootClone, options: &VmOptions) -> Result<()> {
    let clone = RootClone::new(root, CloneOptions::default())?;
    clone.write("/usr/lib/testbed/serve.sh", 0o644, SERVE)?;
    clone.write("/etc/systemd/system/testbed.service", 0o644, UNIT)?;
    clone.write("/etc/fstab", 0o644, "/dev/vda / ext4 defaults 0 1\n")?;
    clone.write("/etc/machine-id", 0o644, "")?;
    clone.run(["systemctl", "enable", "--quiet", "testbed.service"])?.checked()?;
    let boot = clone.path().join("boot");
    for name in ["vmlinuz", "initrd.img"] {
        tools.copy_in(one_of(&boot, &format!("{name}-"))?, Path::new(FOLDER).join(name), 0o644)?;
    }
    file_system(&tools.path().join("vm/disk.raw"), options.disk_bytes, &clone.path())?;
    if options.stick.is_empty() {
        return Ok(());
    }
    let files = clone.path().join("run/stick");
    let mut bytes = 64 << 20;
    for (from, name) in &options.stick {
        clone.copy_in(from, Path::new("/run/stick").join(name), 0o644)?;
        bytes += fs::metadata(from).with_context(|| format!("cannot read `{}`", from.display()))?.len();
    }
    file_system(&tools.path().join("vm/stick.raw"), bytes, &files)
}

/// The one file in a folder whose name begins so.
fn one_of(folder: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut found = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)));
    found.next().with_context(|| format!("the root has no `{start}*` in /boot; take one with a kernel"))
}

/// An ext4 of this size, with what lies in `tree`.
fn file_system(image: &Path, bytes: u64, tree: &Path) -> Result<()> {
    File::create(image)
        .and_then(|file| file.set_len(bytes))
        .with_context(|| format!("cannot create `{}`", image.display()))?;
    let mut command = process::plain("mkfs.ext4");
    command.args(["-q", "-F", "-d"]).arg(tree).arg(image);
    let done = process::finish(command, Input::Nothing, DISK_LIMIT)?;
    if !done.status.success() {
        bail!("cannot make `{}`: {}", image.display(), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
