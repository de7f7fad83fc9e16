//! What has to hold: how much ours may take, as a part of what makeself takes in the same run, or in itself.

use serde::Serialize;

use super::operation::{Measure, Operation, Subject};

/// What a value is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "of", content = "at_most")]
pub enum Bound {
    /// This part of what `makeself --gzip` takes.
    MakeselfGzip(f64),
    /// This much, in the unit of the value.
    Itself(f64),
}

impl Bound {
    /// Whether `value` keeps it. Without the value of the other, nobody knows.
    pub fn is_met(self, value: f64, gzip: Option<f64>) -> Option<bool> {
        match self {
            Self::MakeselfGzip(part) => gzip.map(|gzip| value <= part * gzip),
            Self::Itself(most) => Some(value <= most),
        }
    }
}

/// The bound of what is measured, where there is one.
pub fn of(operation: Operation, subject: Subject, measure: Measure) -> Option<Bound> {
    let part = match (operation, subject, measure) {
        (Operation::Cold, Subject::Cairn, Measure::Cpu) => 0.2,
        (Operation::Cold, Subject::Cairn, Measure::Wall) => 0.15,
        (Operation::Cold, Subject::Cairn, Measure::Size) => 1.005,
        (Operation::Changed, Subject::Cairn, Measure::Cpu | Measure::Wall) => 0.05,
        (Operation::Extract, Subject::Cairn, Measure::Cpu) => 0.3,
        (Operation::Extract, Subject::ShOpenssl, Measure::Cpu) => 0.6,
        (Operation::Extract, Subject::Sh, Measure::Cpu) => 0.8,
        (Operation::Cold, Subject::Cairn, Measure::Memory) => return Some(Bound::Itself(MEMORY_BYTES)),
        (Operation::ListLarge, Subject::Cairn, Measure::Cpu) => return Some(Bound::Itself(0.2)),
        _ => return None,
    };
    Some(Bound::MakeselfGzip(part))
}

/// Bytes of memory that packing may have, whatever is packed.
const MEMORY_BYTES: f64 = 256.0 * 1024.0 * 1024.0;

/// Seconds that `all-in-one` may take beside git and cargo when nothing has changed.
pub const LOOK_UP_S: f64 = 1.0;

/// Bytes that the script may have.
pub const STUB_BYTES: f64 = 24.0 * 1024.0;

/// Bytes of script, manifest and trailer, as a part of the file.
pub const OVERHEAD_PART: f64 = 0.01;

/// Bytes of a delta beside the members that changed, as a part of the new file.
pub const DELTA_PART: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_up_to_its_limit() {
        let part = Bound::MakeselfGzip(0.2);
        assert_eq!(
            [1.0, 2.0, 2.1].map(|value| part.is_met(value, Some(10.0))),
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(part.is_met(1.0, None), None);
        assert_eq!([0.2, 0.3].map(|value| Bound::Itself(0.2).is_met(value, None)), [Some(true), Some(false)]);
    }
}
