//! Runs the cases: what they need is made first, then every round runs each of them once, beginning with another one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use packaging_archive::Archive;

use super::cases::{self, Case, Made, Shows, Specs};
use super::measure::Sample;
use super::operation::{Operation, Subject};
use super::payload::{self, Payload};
use super::peers;
use super::room::Room;
use crate::environment;
use crate::progress::Progress;

/// A case and what each round of it took.
pub struct Runs {
    /// The case.
    pub case: Case,
    /// One for each round.
    pub samples: Vec<Sample>,
}

/// Makes what the cases read.
///
/// # Errors
/// If something cannot be packed.
pub fn prepare(
    selected: &BTreeSet<Operation>,
    room: &Room,
    payload: &Payload,
    specs: &Specs,
    large_bytes: u64,
) -> Result<()> {
    let made = Made(room);
    let wanted = |operation| selected.contains(&operation);
    // The peers first: what was made a moment ago, ours would not remember, and the files of an earlier build are older.
    let mut commands: Vec<_> =
        Subject::PEERS.map(|peer| peers::pack(peer, &room.tree(), &made.archive(peer))).into();
    commands.push(cases::pack(&specs.whole, &made.cache(), &made.archive(Subject::Cairn))?);
    if wanted(Operation::Delta) || wanted(Operation::Overhead) {
        commands.push(cases::pack(&specs.changed, &room.cache(), &made.changed(Subject::Cairn))?);
        commands.push(peers::pack(Subject::Gzip, &room.changed(), &made.changed(Subject::Gzip)));
    }
    if wanted(Operation::ListLarge) {
        let spec = room.file("large.json");
        payload::large(payload, large_bytes)?.write(&spec)?;
        commands.push(cases::pack(&spec, &room.cache(), &made.large())?);
    }
    for words in commands {
        let (program, words) = words.split_first().context("there is no program to run")?;
        let mut command = Command::new(program);
        surround(&mut command, room);
        let output = command.args(words).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run `{}`", program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` packed nothing: {}", program.display(), said.trim());
        }
    }
    rustix::fs::sync();
    Ok(())
}

/// Runs every case in every round.
///
/// # Errors
/// If one fails, or does not show that it did what it should.
pub fn run(cases: Vec<Case>, rounds: u16, room: &Room, progress: &Progress) -> Result<Vec<Runs>> {
    let mut all: Vec<Runs> = cases.into_iter().map(|case| Runs { case, samples: Vec::new() }).collect();
    let (count, total) = (all.len(), all.len() * usize::from(rounds));
    for round in 0..usize::from(rounds) {
        progress.begin(&format!("round {} of {rounds}", round + 1));
        for step in 0..count {
            // Another first one in every round: what stands behind what differs, too.
            let runs = &mut all[(step + round * count.div_ceil(usize::from(rounds))) % count];
            let sample = once(&runs.case, room)
                .with_context(|| format!("{}, {}", runs.case.operation, runs.case.subject))?;
            if round == 0 {
                check(&runs.case, room)
                    .with_context(|| format!("{}, {}", runs.case.operation, runs.case.subject))?;
            }
            runs.samples.push(sample);
            progress.at((round * count + step + 1) as u64, total as u64, "runs");
        }
        progress.end(&format!("round {} of {rounds}: done", round + 1));
    }
    Ok(all)
}

/// Runs a case once, from a clean room. Nothing is left to be written to the disk by then: what is removed is not written any
/// more, and what was made before the first round is there.
fn once(case: &Case, room: &Room) -> Result<Sample> {
    room.clear()?;
    if case.warm {
        copy_files(&Made(room).cache(), &room.cache())?;
    }
    let report = room.file("report.json");
    let mut command = Command::new(std::env::current_exe()?);
    surround(&mut command, room);
    command.envs(case.path.as_ref().map(|path| ("PATH", path)));
    command.args(["bench", "measure", "--report"]).arg(&report);
    for (option, folders) in [("--grows", &case.grows[..]), ("--except", case.unpacked.as_slice())] {
        for folder in folders {
            command.arg(option).arg(folder);
        }
    }
    command.arg("--").args(&case.command).stdin(Stdio::null());
    command.stdout(File::create(room.file("stdout"))?).stderr(File::create(room.file("stderr"))?);
    let status = command.status()?;
    let said = fs::read_to_string(room.file("stderr"))?;
    if !status.success() {
        bail!("it was not measured: {}", said.trim());
    }
    let mut sample: Sample = serde_json::from_slice(&fs::read(&report)?)?;
    if sample.code != Some(0) {
        bail!("it failed with {:?}: {}", sample.code, said.trim());
    }
    if let Some(result) = &case.result {
        let metadata = fs::metadata(result).context("it made nothing")?;
        sample.size_bytes = Some(metadata.len());
        // The result has its room in any case, under whichever name it grew.
        sample.scratch_bytes = sample.scratch_bytes.saturating_sub(metadata.blocks() * 512);
    }
    Ok(sample)
}

/// The same surroundings for everybody.
fn surround(command: &mut Command, room: &Room) {
    environment::restrict(command);
    // Whom this machine trusts and what is installed on it is of no concern.
    command.env("TMPDIR", room.tmp()).env("CAIRN_ROOT", room.work()).current_dir(room.work());
}

/// Whether it did what it should.
fn check(case: &Case, room: &Room) -> Result<()> {
    let stdout = room.file("stdout");
    match &case.shows {
        Shows::Result if case.subject == Subject::Cairn => {
            let archive = Archive::open(case.result.as_deref().unwrap_or(&stdout))?;
            archive.verify(&mut |_| ())?;
        }
        Shows::Result => (),
        Shows::Tree => {
            let (packed, mut unpacked) =
                (payload::listing(&room.tree())?, payload::listing(&room.extracted().join("tree"))?);
            unpacked.retain(|(path, ..)| path != Path::new(packaging_archive::MANIFEST));
            if let Some((one, other)) = packed.iter().zip(&unpacked).find(|(one, other)| one != other) {
                bail!("it unpacked {other:?} where {one:?} was packed");
            }
            if packed.len() != unpacked.len() {
                bail!("it unpacked {} files of {}", unpacked.len(), packed.len());
            }
        }
        Shows::Text(text) => {
            let said = String::from_utf8_lossy(&fs::read(&stdout)?).into_owned();
            if !said.contains(text) {
                bail!("it does not say `{text}` but `{}`", said.trim());
            }
        }
        Shows::Bytes(file) => {
            if crate::digest::of_file(file)? != crate::digest::of_file(&stdout)? {
                bail!("it gave other bytes than those of `{}`", file.display());
            }
        }
    }
    Ok(())
}

/// Copies files, and waits until they are on the disk.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy)?;
        File::open(copy)?.sync_all()?;
    }
    Ok(())
}
