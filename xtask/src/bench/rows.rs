//! Samples to rows: medians, ratios, and whether a bound is met. Pure functions.

use serde::Serialize;

use super::bound::{self, Bound};
use super::measure::Sample;
use super::operation::{Measure, Operation, Subject};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub operation: &'static str,
    /// Who of ours did it, or what it is that has this size.
    pub what: String,
    /// What was counted.
    pub measure: &'static str,
    /// What it was counted in.
    pub unit: &'static str,
    /// The median of ours.
    pub value: f64,
    /// Whether it may be less: the measuring process has as much memory itself.
    pub at_floor: bool,
    /// The medians of the others.
    pub peers: Vec<Peer>,
    /// What it is held to.
    #[serde(flatten)]
    pub bound: Option<Bound>,
    /// Whether that is met. Nothing where there is no bound, or nothing to compare with.
    pub met: Option<bool>,
}

/// Another's value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peer {
    /// Who.
    pub name: &'static str,
    /// The median.
    pub value: f64,
    /// Whether it may be less: the measuring process has as much memory itself.
    pub at_floor: bool,
    /// Ours, as a part of it. Nothing where it is 0, or one of the two may be less.
    pub ratio: Option<f64>,
}

/// Memory above that of the measuring process by less than this part says nothing of what was measured.
const FLOOR_PART: f64 = 1.1;

/// A median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// The median.
    pub median: f64,
    /// Whether it may be less.
    pub at_floor: bool,
}

impl From<f64> for Value {
    fn from(median: f64) -> Self {
        Self { median, at_floor: false }
    }
}

/// The middle value; of an even number, the mean of the two in the middle. Nothing of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The samples of one case: `of(operation, subject)`, empty where it was not measured.
pub type Samples<'a> = dyn Fn(Operation, Subject) -> &'a [Sample] + 'a;

/// The rows of an operation.
pub fn rows(operation: Operation, of: &Samples<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for subject in Subject::OURS {
        for &measure in operation.measures() {
            let Some(ours) = value(of(operation, subject), measure) else { continue };
            let peers: Vec<(Subject, Value)> = Subject::PEERS
                .into_iter()
                .filter_map(|peer| Some((peer, value(of(operation.of_peers(), peer), measure)?)))
                .collect();
            let bound = bound::of(operation, subject, measure);
            rows.push(row(operation, subject.name().to_owned(), measure, ours, &peers, bound));
        }
    }
    rows
}

/// One row.
pub fn row(
    operation: Operation,
    what: String,
    measure: Measure,
    ours: impl Into<Value>,
    peers: &[(Subject, Value)],
    bound: Option<Bound>,
) -> Row {
    let ours = ours.into();
    let gzip = peers.iter().find(|(peer, _)| *peer == Subject::Gzip).map(|(_, value)| value.median);
    let peer = |&(peer, theirs): &(Subject, Value)| Peer {
        name: peer.name(),
        value: theirs.median,
        at_floor: theirs.at_floor,
        ratio: (theirs.median > 0.0 && !theirs.at_floor && !ours.at_floor)
            .then(|| ours.median / theirs.median),
    };
    Row {
        operation: operation.name(),
        what,
        measure: measure.name(),
        unit: measure.unit(),
        value: ours.median,
        at_floor: ours.at_floor,
        peers: peers.iter().map(peer).collect(),
        bound,
        met: bound.and_then(|bound| bound.is_met(ours.median, gzip)),
    }
}

fn value(samples: &[Sample], measure: Measure) -> Option<Value> {
    let floors: Vec<f64> = samples.iter().map(|sample| sample.memory_floor_bytes as f64).collect();
    let (median, floor) = (median(&values(samples, measure))?, median(&floors)?);
    Some(Value { median, at_floor: measure == Measure::Memory && median <= floor * FLOOR_PART })
}

fn values(samples: &[Sample], measure: Measure) -> Vec<f64> {
    let value = |sample: &Sample| match measure {
        Measure::Cpu => Some(sample.cpu_s),
        Measure::Wall => Some(sample.wall_s),
        Measure::Memory => Some(sample.memory_bytes as f64),
        Measure::Scratch => Some(sample.scratch_bytes as f64),
        Measure::Size => sample.size_bytes.map(|bytes| bytes as f64),
    };
    samples.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_s: f64) -> Sample {
        Sample {
            cpu_s,
            wall_s: cpu_s / 2.0,
            memory_bytes: (cpu_s * 1000.0) as u64,
            memory_floor_bytes: 2500,
            scratch_bytes: 0,
            size_bytes: Some(100),
            code: Some(0),
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ours_is_held_to_a_part_of_theirs() {
        let (ours, gzip) = ([1.0, 9.0, 2.0].map(sample), [20.0, 10.0, 9.0].map(sample));
        let of = |operation, subject| -> &[Sample] {
            match (operation, subject) {
                (Operation::Cold | Operation::Changed, Subject::Cairn) => &ours,
                (Operation::Cold, Subject::Gzip) => &gzip,
                _ => &[],
            }
        };
        let cold = rows(Operation::Cold, &of);
        assert_eq!(
            cold.iter().map(|row| row.measure).collect::<Vec<_>>(),
            ["CPU time", "wall time", "peak memory", "scratch space", "size"]
        );
        assert_eq!((cold[0].value, cold[0].peers[0].value, cold[0].peers[0].ratio), (2.0, 10.0, Some(0.2)));
        assert_eq!(
            [cold[0].met, cold[1].met, cold[3].met, cold[4].met],
            [Some(true), Some(false), None, Some(true)]
        );
        assert_eq!(cold[3].peers[0].ratio, None);
        // Ours is within what the measuring process has itself, and is compared with nothing.
        assert_eq!(
            (cold[2].at_floor, cold[2].peers[0].at_floor, cold[2].peers[0].ratio),
            (true, false, None)
        );
        // What the others do when something has changed is what they always do.
        assert_eq!(
            (rows(Operation::Changed, &of)[0].met, rows(Operation::List, &of).len()),
            (Some(false), 0)
        );
    }
}
