//! What virtual machines take: starts, changes of a cache mode while one runs, and writes in each mode. Beside it, in the same
//! run, what the same takes without us.
//!
//! All of it happens in a scratch Debian: in a room with libvirt, where a program of the hypervisor's measures itself, and on
//! a machine with the packed file installed, where the API is asked. `rows` makes medians and ratios of the samples.

mod api;
mod inside;
mod rows;

use std::fs;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::machine::{self, Machine};
use super::room::Room;
use super::whole;
use crate::all_in_one::tree;
use crate::answer;
use crate::cache::default_folder;
use crate::cli::Bench;
use crate::failure::Failure;
use crate::packages;
use crate::progress::{Format, Progress};
use rows::Row;

/// How values are to be read.
const NOTES: [&str; 4] = [
    "Guests are run by TCG, and the machine does other things: believe ratios.",
    "API call to running: from the request until libvirt says that the domain runs, which is asked all along; `virsh start` ends when it does.",
    "Longest pause: between two writes that a guest was told to be done, in four seconds; left alone, and with twenty changes between \
     `none` and `writeback`.",
    "Writes: of 4096 bytes, one after the other, by QEMU's own block layer (`qemu-img bench`) into a preallocated raw file on ext4.",
];

/// One sample.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Sample {
    /// What was done.
    pub operation: String,
    /// Who did it.
    pub subject: String,
    /// Seconds, or writes in one.
    pub value: f64,
}

/// Everything that was found out.
#[derive(Serialize)]
struct Report {
    format: u32,
    machine: Machine,
    rounds: u16,
    rows: Vec<Row>,
    samples: Vec<Sample>,
    notes: [&'static str; NOTES.len()],
}

/// Runs this part of the benchmark.
///
/// # Errors
/// If something that is measured fails, or the machine cannot make what it takes.
pub fn bench(args: &Bench) -> Result<()> {
    if !packages::is_root() {
        return Err(Failure::unsupported(
            "virtual machines are measured in a scratch Debian with libvirt, which takes the superuser; run it as root, or measure \
             the rest: cargo xtask bench --part archive",
        ));
    }
    let progress = Progress::new(Format::Human, args.format == Format::Json);
    let say = |line: &str| progress.say(line);
    packages::require(packages::BUILD, false, &say)?;
    let out = args.out.clone().unwrap_or_else(|| tree().join("target/bench"));
    let room = Room::new(&out)?;
    let mut machine = Machine::this()?;
    let testbed = xtask_testbed::prepare(&default_folder()?, &say)?;
    let virt = testbed.virt(&say)?;
    let file = match &args.run {
        Some(file) => file.clone(),
        None => whole::build(args.release.as_ref(), &room, &progress)?,
    };
    progress.begin("measuring in a room with libvirt");
    let mut samples = inside::samples(&virt, args.rounds)?;
    progress.end("measured in a room with libvirt");
    progress.begin("measuring on a machine with an installation");
    samples.extend(api::samples(&virt, &file, args.rounds)?);
    progress.end("measured on a machine with an installation");
    machine.load_after = machine::load()?;
    let mut rows = rows::rows(&samples);
    rows.retain(|row| args.only.as_ref().is_none_or(|only| row.operation.contains(only.as_str())));
    let report = Report { format: 1, machine, rounds: args.rounds, rows, samples, notes: NOTES };
    let json = format!("{}\n", serde_json::to_string_pretty(&report)?);
    let dirty = if report.machine.dirty { "-dirty" } else { "" };
    let commit = report.machine.commit.get(..8).unwrap_or_default();
    let path = out.join(format!("bench-vm-{commit}{dirty}.json"));
    fs::write(&path, &json).with_context(|| format!("cannot write `{}`", path.display()))?;
    if args.format == Format::Json {
        return Ok(answer::print(&json)?);
    }
    let Machine { cpu, processors, load_before, load_after, .. } = &report.machine;
    answer::answer!("{cpu}, {processors} processors; load {load_before:.2} before, {load_after:.2} after")?;
    answer::answer!(
        "commit {commit}{dirty}; medians of {} rounds, with the least and the most",
        args.rounds
    )?;
    answer::print(&rows::table(&report.rows))?;
    report.notes.iter().try_for_each(|note| answer::answer!("\n{note}"))?;
    answer::answer!("\n{}", path.display())?;
    Ok(())
}
