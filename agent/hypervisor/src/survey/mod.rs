//! What a folder is worth for disks: measured once, told with evidence, and with advice where there is some.
//!
//! `measure` looks at the folder and writes to a file of its own in it; `advice` is a pure function of what was measured. Who
//! asks waits no longer than for a probe ([`crate::cache`]), by whose thread it is done.

mod advice;
pub(crate) mod measure;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache::Layer;
use crate::cache::evidence::Tried;

pub use advice::findings;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The folder.
    pub path: PathBuf,
    /// What O_DIRECT is worth in it.
    pub layer: Layer,
    /// Size of the file system in bytes; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it can still be written, in bytes; 0 where it has no size.
    pub available_bytes: u64,
    /// How many files it can have; 0 where it sets no limit.
    pub inodes: u64,
    /// How many more.
    pub free_inodes: u64,
    /// What a flush takes.
    pub flush: Flush,
    /// Giving back the room of a part of a file (fallocate(2), `FALLOC_FL_PUNCH_HOLE`).
    pub hole_punching: Tried,
    /// A copy that takes no room (`FICLONE`, see ioctl_ficlone(2)).
    pub reflink: Tried,
}

/// What fsync(2) takes after 4096 bytes were added to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// It was done so often.
    Sampled(Latency),
    /// It failed, or there was no room.
    Failed(rustix::io::Errno),
}

/// What something takes that was done several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// How often it was done.
    pub samples: usize,
    /// Half of them took no longer.
    pub median: Duration,
    /// All but one of a hundred took no longer; of fewer, all.
    pub percentile_99: Duration,
}

/// What one thing that was measured means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which thing.
    pub subject: Subject,
    /// How good that is.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What to do about it, or what it means.
    pub advice: Option<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// What O_DIRECT is worth.
    DirectIo,
    /// The blocks that O_DIRECT takes.
    Alignment,
    /// Room.
    Space,
    /// Room for files.
    Inodes,
    /// What a flush takes.
    Flush,
    /// Giving back what a guest discards.
    HolePunching,
    /// Copies that take no room.
    Reflink,
}

/// How good something is for disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and something is lost by it.
    Note,
    /// Somebody should do something.
    Beware,
}

impl Latency {
    /// Of these, in any order. None: there are none.
    #[must_use]
    pub fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        // The nearest rank: the first that as many are not above as the share says.
        let rank = |percent: usize| samples.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
        let (median, percentile_99) = (*samples.get(rank(50))?, *samples.get(rank(99))?);
        Some(Self { samples: samples.len(), median, percentile_99 })
    }
}

/// "64 times, median 1.2 ms, 99th percentile 4.0 ms".
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |took: Duration| took.as_secs_f64() * 1000.0;
        let Self { samples, median, percentile_99 } = self;
        write!(
            f,
            "{samples} times, median {:.1} ms, 99th percentile {:.1} ms",
            ms(*median),
            ms(*percentile_99)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let of = |samples: Vec<u64>| {
            let latency = Latency::of(samples.into_iter().map(Duration::from_millis).collect())?;
            Some((latency.samples, latency.median.as_millis(), latency.percentile_99.as_millis()))
        };
        assert_eq!(of(vec![]), None);
        assert_eq!(of(vec![7]), Some((1, 7, 7)));
        assert_eq!(of(vec![3, 1]), Some((2, 1, 3)));
        assert_eq!(of((1..=100).rev().collect()), Some((100, 50, 99)));
        assert_eq!(of((1..=64).collect()), Some((64, 32, 64)));
        let latency = Latency::of(vec![Duration::from_micros(1240); 3]).unwrap();
        assert_eq!(latency.to_string(), "3 times, median 1.2 ms, 99th percentile 1.2 ms");
    }
}
