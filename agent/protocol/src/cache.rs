//! Cache modes: what is asked for, what it comes to, and by what that is known. Words are QEMU's. Paths are absolute paths of
//! the agent's host.

use serde::{Deserialize, Serialize};

use crate::vm::{CacheChoice, CacheMode, DiskBus, Format};

/// What is asked of the cache mode of a disk or a CD-ROM drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheRequest {
    /// What is asked for.
    pub choice: CacheChoice,
    /// Where that was set. The most specific place wins, which the server sees to.
    pub origin: Origin,
    /// Whether whoever set it accepts that a crash of the host loses what is on the disk. `unsafe` is refused otherwise.
    pub accepts_loss: bool,
}

/// The sector that a guest sees on a disk. It is a property of the volume from the first time on that a guest gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sector {
    /// No guest has had the disk, and nothing boots from it: the agent chooses, and the disk's state tells.
    Free,
    /// A guest may have written by it. It must not change.
    Fixed {
        /// Its size.
        bytes: u32,
    },
}

/// The cache mode of a disk, how it came about and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectiveCache {
    /// What was asked for when the mode was settled.
    pub requested: CacheChoice,
    /// Where that was set. None: an older agent settled it, or somebody changed it on the host.
    pub origin: Option<Origin>,
    /// The mode that QEMU works in; while the virtual machine is off, the one that it will be started in.
    pub mode: CacheMode,
    /// Whether QEMU has the file open with O_DIRECT. None while it is off, or if that could not be seen.
    pub direct: Option<bool>,
    /// A sentence for people: how the mode came about and how it is known.
    pub reason: String,
    /// What one should know; the reason has it, too.
    pub warnings: Vec<String>,
    /// How QEMU waits for the host's reads and writes. None: as it likes.
    pub io: Option<Io>,
    /// The sector that the guest sees, in bytes.
    pub sector_bytes: u32,
    /// What O_DIRECT was found to be worth at the file and at every image under it when the mode was settled, the file first;
    /// empty where nobody had to know.
    pub evidence: Vec<Layer>,
}

/// What O_DIRECT is worth at one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The file.
    pub path: String,
    /// The folder that it really lies in.
    pub folder: String,
    /// Whether it is the one that decided: where O_DIRECT is worth least.
    pub weakest: bool,
    /// What was found out comes to this.
    pub answer: Answer,
    /// Where its file system is mounted; a block device itself.
    pub mount: String,
    /// The type of that, as the kernel names it.
    pub file_system: String,
    /// The number of its device: `254:0`.
    pub device: String,
    /// What statx(2) tells with `STATX_DIOALIGN`. None: that bit is not in its mask, the kernel is silent.
    pub statx: Option<Alignment>,
    /// Opening a file with O_DIRECT.
    pub open: Tried,
    /// How the next two were made.
    pub by: By,
    /// 512 bytes at an aligned place.
    pub sector: Tried,
    /// 4096 bytes at an aligned place.
    pub page: Tried,
}

/// What memory and offsets have to be multiples of. Both are 0 where O_DIRECT goes through the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// Of memory, in bytes.
    pub memory_bytes: u32,
    /// Of offsets and lengths, in bytes.
    pub offset_bytes: u32,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tried {
    /// Nobody tried.
    NotTried,
    /// It worked.
    Worked,
    /// The kernel refused.
    Failed {
        /// Its number, as in errno(3).
        errno: i32,
        /// Its words.
        message: String,
    },
}

/// What O_DIRECT is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It goes past the page cache, also for single sectors.
    Direct,
    /// It is accepted, and goes through the page cache all the same.
    Buffered,
    /// It is refused.
    Refused,
    /// It takes blocks of this many bytes and no smaller ones.
    Larger {
        /// More than 512.
        bytes: u32,
    },
}

/// Asks what modes would come to. Nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRequest {
    /// Any number of questions, each about a disk that there may be.
    pub questions: Vec<Question>,
}

/// What would come of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its file.
    pub path: String,
    /// What is in the file.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// What is asked for.
    pub cache: CacheRequest,
    /// The sector that its guest sees.
    pub sector: Sector,
}

/// What each question comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeReply {
    /// In the order of the questions.
    pub judgements: Vec<Judgement>,
}

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Judgement {
    /// This mode, with the reason.
    Decided(EffectiveCache),
    /// It would be refused.
    Refused {
        /// Why, and what to do.
        message: String,
    },
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub enum $name { $($(#[$variant_doc])* $variant,)+ }
        )+
    };
}

words! {
    /// Where a cache mode was set.
    Origin {
        /// For the volume.
        Volume,
        /// For the virtual machine.
        Vm,
        /// For the storage.
        Storage,
        /// For everything: the setting.
        Global,
    }
    /// How QEMU waits for the host's reads and writes.
    Io {
        /// A pool of threads.
        Threads,
        /// Linux' own asynchronous calls.
        Native,
        /// A ring that is shared with the kernel.
        IoUring,
    }
    /// How attempts were made.
    By {
        /// By writing to a file of the agent's own.
        Writing,
        /// By reading the file itself.
        Reading,
    }
}
