//! `bench`: packing, checking, unpacking and deltas, and makeself with the same files in the same run.
//!
//! `payload` stages what is packed, `cases` lists what is measured, `rounds` runs it, `rows` makes medians and ratios of it and
//! holds them to `bound`, `report` and `table` show them. Every measured program is started by `measure`, in a process of its
//! own; `pack` is what is measured of ours and has no other command. `vm` is another part: virtual machines. Nothing here is asserted by a test: times are a machine's,
//! ratios are of one run.

mod bound;
mod cases;
mod machine;
mod measure;
mod operation;
mod pack;
mod payload;
mod peers;
mod report;
mod room;
mod rounds;
mod rows;
mod seeded;
mod table;
mod vm;
mod whole;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, TRAILER_BYTES};

use crate::all_in_one::tree;
use crate::answer;
use crate::cli::{Bench, BenchOf, BenchPart};
use crate::failure::Failure;
use crate::packages;
use crate::progress::{Format, Progress};
use crate::show;

use cases::{Case, Made, Specs};
use machine::Machine;
use measure::Sample;
use operation::{Operation, Subject};
use report::{Counted, NOTES, Report, Run};
use room::Room;
use rounds::Runs;
use rows::Row;
use whole::Parts;

/// Runs the command, or the part of it that it starts itself for.
///
/// # Errors
/// If something that is measured fails; with `--check`, exit code 7 if a bound is not met.
pub fn command(args: &Bench) -> Result<()> {
    match &args.part {
        None => match args.of {
            BenchOf::Archive => bench(args),
            BenchOf::Vm => vm::bench(args),
        },
        Some(BenchPart::Measure(args)) => measure::command(args),
        Some(BenchPart::Pack(args)) => pack::pack(args),
        Some(BenchPart::Delta(args)) => pack::delta(args),
    }
}

fn bench(args: &Bench) -> Result<()> {
    let progress = Progress::new(Format::Human, args.format == Format::Json);
    let selected = selected(args.only.as_deref())?;
    packages::require(packages::BENCH, false, &|line| progress.say(line))?;
    let out = args.out.clone().unwrap_or_else(|| tree().join("target/bench"));
    let room = Room::new(&out)?;
    let mut machine = Machine::this()?;

    let file = match &args.run {
        Some(file) => file.clone(),
        None => whole::build(args.release.as_ref(), &room, &progress)?,
    };
    progress.begin("staging what is packed, and packing it for those that read it");
    let payload = payload::stage(&show::open(&file)?, &room, args.packages_bytes)?;
    let specs = Specs { whole: room.file("payload.json"), changed: room.file("changed.json") };
    payload.spec.write(&specs.whole)?;
    payload.changed.write(&specs.changed)?;
    let mut cases = cases::all(&room, &payload, &specs)?;
    cases.retain(|case| is_wanted(case, &selected));
    rounds::prepare(&selected, &room, &payload, &specs, args.large_bytes)?;
    progress.end("staged");

    let runs = rounds::run(cases, args.rounds, &room, &progress)?;
    let whole =
        if selected.contains(&Operation::Whole) { again(args, &room, &progress)? } else { Vec::new() };
    let counts = selected.contains(&Operation::Delta) || selected.contains(&Operation::Overhead);
    let counted = counts.then(|| counted(&room)).transpose()?;
    machine.load_after = machine::load()?;
    let mut rows = report::all_rows(&runs, counted, &whole);
    rows.retain(|row| selected.iter().any(|operation| operation.name() == row.operation));
    let report = Report {
        format: 1,
        rows,
        machine,
        payload: payload.facts,
        rounds: args.rounds,
        runs: runs.into_iter().map(|runs| run_of(runs, &room)).collect(),
        notes: NOTES.to_vec(),
    };
    show_and_judge(&report, &out, args)
}

/// The operations that `--only` names, or all.
fn selected(only: Option<&str>) -> Result<BTreeSet<Operation>> {
    let only = only.unwrap_or_default();
    let found: BTreeSet<Operation> =
        Operation::ALL.into_iter().filter(|operation| operation.name().contains(only)).collect();
    if found.is_empty() {
        let names = Operation::ALL.map(Operation::name).join(", ");
        return Err(Failure::usage(format!("nothing that is measured has `{only}` in its name: {names}")));
    }
    Ok(found)
}

/// Also what others do for a selected operation.
fn is_wanted(case: &Case, selected: &BTreeSet<Operation>) -> bool {
    let peer = Subject::PEERS.contains(&case.subject);
    selected.contains(&case.operation)
        || peer && selected.iter().any(|operation| operation.of_peers() == case.operation)
}

fn again(args: &Bench, room: &Room, progress: &Progress) -> Result<Vec<(Sample, Parts)>> {
    if args.run.is_some() {
        return Ok(Vec::new());
    }
    progress.begin("all-in-one, with nothing changed");
    let samples = (0..args.rounds).map(|_| whole::again(args.release.as_ref(), room)).collect();
    progress.end("all-in-one, with nothing changed: done");
    samples
}

fn counted(room: &Room) -> Result<Counted> {
    let made = Made(room);
    let old = Archive::open(made.archive(Subject::Cairn))?;
    let new = Archive::open(made.changed(Subject::Cairn))?;
    let had: BTreeSet<&str> = old.manifest().members.iter().map(|member| member.sha256.as_str()).collect();
    let changed = new.manifest().members.iter().filter(|member| !had.contains(member.sha256.as_str()));
    let trailer = new.trailer();
    Ok(Counted {
        stub: trailer.stub_bytes,
        tables: trailer.head_bytes + TRAILER_BYTES as u64,
        file: trailer.file_bytes,
        changed_members: changed.map(|member| member.size).sum(),
    })
}

fn run_of(runs: Runs, room: &Room) -> Run {
    let place = room.made();
    let place = place.parent().unwrap_or(&place).display().to_string();
    let own = std::env::current_exe().unwrap_or_default().display().to_string();
    // Where this tree lies on this machine is nobody's concern.
    let word = |word: &std::ffi::OsString| {
        word.to_string_lossy().replace(&place, "ROOM").replace(&own, "cargo xtask")
    };
    Run {
        operation: runs.case.operation.name(),
        subject: runs.case.subject.name(),
        command: runs.case.command.iter().map(word).collect(),
        samples: runs.samples,
    }
}

fn show_and_judge(report: &Report, out: &Path, args: &Bench) -> Result<()> {
    let json = format!("{}\n", serde_json::to_string_pretty(report)?);
    let dirty = if report.machine.dirty { "-dirty" } else { "" };
    let name = format!("bench-{}{dirty}.json", report.machine.commit.get(..8).unwrap_or_default());
    let file = out.join(name);
    fs::write(&file, &json).with_context(|| format!("cannot write `{}`", file.display()))?;
    if args.format == Format::Json {
        answer::print(&json)?;
    } else {
        answer::print(&table::table(report))?;
        answer::answer!("\n{}", file.display())?;
    }
    if args.check { judge(&report.rows) } else { Ok(()) }
}

/// Every bound that is known not to be met is an error.
fn judge(rows: &[Row]) -> Result<()> {
    let missed: Vec<String> = rows
        .iter()
        .filter(|row| row.met == Some(false))
        .map(|row| format!("{} of {} ({})", row.measure, row.operation, row.what))
        .collect();
    if !missed.is_empty() {
        bail!("bounds are not met: {}", missed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_not_met_has_an_exit_code_and_an_unknown_one_has_none() {
        use super::bound::Bound;
        use super::operation::Measure;
        let size = |value: f64, bound| {
            rows::row(Operation::Overhead, "script".to_owned(), Measure::Size, value, &[], Some(bound))
        };
        let fine = [size(9.0, Bound::Itself(10.0)), size(9.0, Bound::MakeselfGzip(0.1))];
        judge(&fine).unwrap();
        let error = judge(&[fine[0].clone(), size(11.0, Bound::Itself(10.0))]).unwrap_err();
        assert_eq!(error.to_string(), "bounds are not met: size of overhead (script)");
        assert_eq!(crate::failure::code_of(&error), crate::failure::Code::Failed);
    }

    #[test]
    fn a_part_of_a_name_selects() {
        assert_eq!(selected(None).unwrap().len(), Operation::ALL.len());
        let list = selected(Some("list")).unwrap();
        assert_eq!(list.into_iter().collect::<Vec<_>>(), [Operation::List, Operation::ListLarge]);
        let refused = selected(Some("lsit")).unwrap_err().to_string();
        assert!(refused.contains("`lsit`") && refused.contains("cold assembly"), "{refused}");
    }
}
