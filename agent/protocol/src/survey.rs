//! What a folder is worth for disks. Paths are absolute paths of the agent's host.

use serde::{Deserialize, Serialize};

use crate::cache::{Layer, Tried};

/// What was measured in a folder, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// The folder.
    pub path: String,
    /// What O_DIRECT is worth in it.
    pub direct_io: Layer,
    /// Size of its file system in bytes; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it can still be written, in bytes; 0 where it has no size.
    pub available_bytes: u64,
    /// How many files it can have; 0 where it sets no limit.
    pub inodes: u64,
    /// How many more.
    pub free_inodes: u64,
    /// What fsync(2) takes. None: it failed, and a finding says why.
    pub fsync: Option<Latency>,
    /// Giving back the room of a part of a file.
    pub hole_punching: Tried,
    /// A copy that takes no room.
    pub reflink: Tried,
    /// What each of it means.
    pub findings: Vec<Finding>,
}

/// What something takes that was done several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// How often it was done.
    pub samples: u32,
    /// Half of them took no longer, in microseconds.
    pub median_us: u64,
    /// All but one of a hundred took no longer, in microseconds; of fewer, all.
    pub percentile_99_us: u64,
}

/// What one thing that was measured means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Which thing.
    pub subject: Subject,
    /// How good that is.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What it means, or what to do.
    pub advice: Option<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and something is lost by it.
    Note,
    /// Somebody should do something.
    Beware,
}
