//! The words of a benchmark: what is done, by whom, and what is counted.

use std::fmt;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A tree to a file, with nothing kept from before.
    Cold,
    /// The same after a change in one component.
    Changed,
    /// The same once more.
    Unchanged,
    /// Is the file whole?
    Verify,
    /// Check it, and unpack all of it.
    Extract,
    /// Name its entries.
    List,
    /// Name the entries of a large file.
    ListLarge,
    /// Unpack one entry.
    OneFile,
    /// What a new file has and an old one lacks.
    Delta,
    /// The part of a file that is not its content.
    Overhead,
    /// `all-in-one` once more.
    Whole,
}

impl Operation {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Cold,
        Self::Changed,
        Self::Unchanged,
        Self::Verify,
        Self::Extract,
        Self::List,
        Self::ListLarge,
        Self::OneFile,
        Self::Delta,
        Self::Overhead,
        Self::Whole,
    ];

    /// What `--only` is compared with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold assembly",
            Self::Changed => "one component changed",
            Self::Unchanged => "nothing changed",
            Self::Verify => "verify",
            Self::Extract => "verify and extract",
            Self::List => "list",
            Self::ListLarge => "list a large file",
            Self::OneFile => "extract one file",
            Self::Delta => "delta",
            Self::Overhead => "overhead",
            Self::Whole => "all-in-one, nothing changed",
        }
    }

    /// What the others do for it: makeself keeps nothing, and packs anew whatever has changed.
    pub fn of_peers(self) -> Self {
        match self {
            Self::Changed | Self::Unchanged => Self::Cold,
            other => other,
        }
    }

    /// What is counted.
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Cold => &[Measure::Cpu, Measure::Wall, Measure::Memory, Measure::Scratch, Measure::Size],
            Self::Changed | Self::Unchanged | Self::Extract => {
                &[Measure::Cpu, Measure::Wall, Measure::Memory, Measure::Scratch]
            }
            Self::Verify | Self::List | Self::ListLarge | Self::OneFile | Self::Whole => {
                &[Measure::Cpu, Measure::Wall, Measure::Memory]
            }
            Self::Delta => &[Measure::Cpu, Measure::Wall, Measure::Memory, Measure::Size],
            Self::Overhead => &[],
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// By whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Ours, as people use it: xtask, and the helper in the file.
    Cairn,
    /// The script of our file alone, where no helper runs and there is openssl.
    ShOpenssl,
    /// The same without openssl.
    Sh,
    /// `makeself --gzip`, which the bounds are about.
    Gzip,
    /// `makeself --pigz`.
    Pigz,
    /// `makeself --zstd`.
    Zstd,
}

impl Subject {
    /// Ours.
    pub const OURS: [Self; 3] = [Self::Cairn, Self::ShOpenssl, Self::Sh];

    /// The others.
    pub const PEERS: [Self; 3] = [Self::Gzip, Self::Pigz, Self::Zstd];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cairn => "cairn",
            Self::ShOpenssl => "cairn by sh alone, with openssl",
            Self::Sh => "cairn by sh alone, without openssl",
            Self::Gzip => "makeself gzip",
            Self::Pigz => "makeself pigz",
            Self::Zstd => "makeself zstd",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// User and system time of all processes.
    Cpu,
    /// Time that passes.
    Wall,
    /// Most memory of any one process.
    Memory,
    /// Room on the disk, apart from the result.
    Scratch,
    /// Bytes of the result.
    Size,
}

impl Measure {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU time",
            Self::Wall => "wall time",
            Self::Memory => "peak memory",
            Self::Scratch => "scratch space",
            Self::Size => "size",
        }
    }

    /// What it is counted in.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::Wall => "s",
            Self::Memory | Self::Scratch | Self::Size => "bytes",
        }
    }
}
