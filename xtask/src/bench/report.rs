//! Everything that a benchmark found out, as it is written to `target/bench`.

use serde::Serialize;

use super::bound::{self, Bound};
use super::machine::Machine;
use super::measure::Sample;
use super::operation::{Measure, Operation, Subject};
use super::payload::Facts;
use super::rounds::Runs;
use super::rows::{Row, median, row, rows};
use super::whole::Parts;

/// How values are to be read.
pub const NOTES: [&str; 5] = [
    "CPU time: user and system time of all processes. Peak memory: of the one process that had most, not of all together, and no less \
     than what the measuring process has itself (`memory_floor_bytes`).",
    "Scratch space: what lies in TMPDIR, beside the result and in our cache of compressed members, beyond what lay there before and \
     beyond the room of the result, when there was most; it is looked every 10 ms.",
    "Every program reads files that are in the page cache, and starts when nothing of an earlier one has to be written any more. Ours ends when \
     its file is on the disk, too, makeself does not wait for that. Wall time depends on what else runs; see the load.",
    "makeself packs everything again whatever has changed: its values of a cold assembly stand there again. It has no delta: what \
     stands there is zstd --patch-from between two of its gzip files. Listing one of its files means unpacking all of it.",
    "`cairn by sh alone`: the script of our file on a host where nothing that it writes can be run.",
];

/// The report.
#[derive(Serialize)]
pub struct Report {
    /// The generation of this form.
    pub format: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// What was packed.
    pub payload: Facts,
    /// How often.
    pub rounds: u16,
    /// Medians.
    pub rows: Vec<Row>,
    /// What they are the medians of.
    pub runs: Vec<Run>,
    /// How to read them.
    pub notes: Vec<&'static str>,
}

/// A command and what each run of it took.
#[derive(Serialize)]
pub struct Run {
    /// What it does.
    pub operation: &'static str,
    /// Who does it.
    pub subject: &'static str,
    /// As one would type it, in the room of the benchmark.
    pub command: Vec<String>,
    /// One for each round.
    pub samples: Vec<Sample>,
}

/// Sizes that are not measured but counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Bytes of the script.
    pub stub: u64,
    /// Bytes of manifest and trailer.
    pub tables: u64,
    /// Bytes of the file.
    pub file: u64,
    /// Bytes of the members that differ after the change.
    pub changed_members: u64,
}

/// Rows of everything that was measured.
pub fn all_rows(runs: &[Runs], counted: Option<Counted>, whole: &[(Sample, Parts)]) -> Vec<Row> {
    let of = |operation, subject| -> &[Sample] {
        let found = runs.iter().find(|runs| (runs.case.operation, runs.case.subject) == (operation, subject));
        found.map_or(&[], |runs| &runs.samples)
    };
    let mut all = Vec::new();
    for operation in Operation::ALL {
        match operation {
            Operation::Overhead => all.extend(counted.iter().flat_map(overhead)),
            Operation::Whole => all.extend(whole_rows(whole)),
            other => all.extend(rows(other, &of)),
        }
    }
    if let Some(counted) = counted {
        all.iter_mut().filter(|row| row.operation == Operation::Delta.name()).for_each(|row| {
            if row.measure == Measure::Size.name() {
                let most = bound::DELTA_PART * counted.file as f64 + counted.changed_members as f64;
                row.bound = Some(Bound::Itself(most));
                row.met = Bound::Itself(most).is_met(row.value, None);
            }
        });
    }
    all
}

fn overhead(counted: &Counted) -> [Row; 2] {
    let size = |what: &str, value: u64, most: f64| {
        let bound = Some(Bound::Itself(most));
        row(Operation::Overhead, what.to_owned(), Measure::Size, value as f64, &[], bound)
    };
    let most = bound::OVERHEAD_PART * counted.file as f64;
    [
        size("script", counted.stub, bound::STUB_BYTES),
        size("script, manifest and trailer", counted.stub + counted.tables, most),
    ]
}

fn whole_rows(whole: &[(Sample, Parts)]) -> Vec<Row> {
    let samples: Vec<Sample> = whole.iter().map(|(sample, _)| *sample).collect();
    let of = |operation, subject| -> &[Sample] {
        if (operation, subject) == (Operation::Whole, Subject::Cairn) { &samples } else { &[] }
    };
    let mut all = rows(Operation::Whole, &of);
    let mut part = |what: &str, part: fn(&Parts) -> f64, bound| {
        let values: Vec<f64> = whole.iter().map(|(_, parts)| part(parts)).collect();
        all.extend(
            median(&values)
                .map(|value| row(Operation::Whole, what.to_owned(), Measure::Wall, value, &[], bound)),
        );
    };
    part("git: commits and checkouts", |parts| parts.git_s, None);
    part("cargo: is anything to be compiled?", |parts| parts.cargo_s, None);
    part("the rest", |parts| parts.own_s, Some(Bound::Itself(bound::LOOK_UP_S)));
    all
}
