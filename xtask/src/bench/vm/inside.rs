//! What is measured in a room with libvirt: by a program of the hypervisor's, and by QEMU's own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;
use xtask_testbed::libvirt::{self, Libvirtd};
use xtask_testbed::{Device, Invocation, Mount, Root};

use super::Sample;
use crate::all_in_one::tree;

/// How long one of the programs may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// Writes in one run of QEMU's.
const WRITES: u32 = 2000;

/// What QEMU's block layer does in each mode, as `qemu-img` knows them.
const MODES: [&str; 5] = ["none", "writeback", "writethrough", "directsync", "unsafe"];

/// A file system for it, and its file. The device goes with the mount.
const DISK: &str = "set -eu; mkdir /srv/modes; truncate -s 320M /srv/modes.img
    for n in $(seq 0 63); do test -e /dev/loop$n || mknod -m 600 /dev/loop$n b 7 $n; done
    device=$(losetup --find --show /srv/modes.img); mkfs.ext4 -q -F $device; mount $device /srv/modes
    losetup --detach $device; qemu-img create -q -f raw -o preallocation=full /srv/modes/disk.raw 64M";

/// Runs both.
///
/// # Errors
/// If one of them fails.
pub fn samples(virt: &Root, rounds: u16) -> Result<Vec<Sample>> {
    let program = build()?;
    let clone = libvirt::clone(virt)?;
    let place = "/root/measure";
    clone.copy_in(&program, place, 0o755)?;
    let mounts: [Mount; 1] = [Device::LoopControl.into()];
    let libvirtd = Libvirtd::start(&clone, &mounts)?;
    let room = libvirtd.room();
    let mut samples = Vec::new();
    room.run(Invocation::sh(DISK))?.checked().context("no ext4 on a loop device")?;
    for round in 0..usize::from(rounds) {
        for step in 0..MODES.len() {
            samples.push(writes(room, MODES[(round + step) % MODES.len()])?);
        }
    }
    room.run(["umount", "/srv/modes"])?.checked()?;
    let said = room.run(Invocation::new(place).arg(rounds.to_string()).limit(LIMIT))?.checked()?;
    for line in said.stdout_text().lines() {
        samples.push(serde_json::from_str(line).with_context(|| format!("`{line}` is no sample"))?);
    }
    Ok(samples)
}

/// The program, optimised as what is shipped.
fn build() -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--release", "--package", "agent-hypervisor", "--example", "measure"]);
    command.args(["--quiet", "--message-format", "json"]);
    let output = command.current_dir(tree()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the measuring program is not built: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    for message in Message::parse_stream(output.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == "measure"
            && let Some(program) = artifact.executable
        {
            return Ok(program.into_std_path_buf());
        }
    }
    bail!("cargo names no measuring program")
}

/// Writes in a second.
fn writes(room: &xtask_testbed::Room<'_>, mode: &str) -> Result<Sample> {
    let words = ["bench", "-q", "-w", "-d", "1", "-s", "4096", "-f", "raw", "-t", mode, "-c"];
    let bench = Invocation::new("qemu-img").args(words).arg(WRITES.to_string()).arg("/srv/modes/disk.raw");
    let said = room.run(bench.limit(LIMIT))?.checked()?.stdout_text();
    let seconds = said.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).next_back();
    let seconds = seconds.with_context(|| format!("`qemu-img bench` says no time: {said}"))?;
    let value = f64::from(WRITES) / seconds;
    Ok(Sample { operation: "writes a second".to_owned(), subject: mode.to_owned(), value })
}
