//! Cache modes: where they are set, what they come to, and by what that is known. A mode can be set for everything
//! (`vm.cacheMode`), for a storage, for a virtual machine and for a volume; the most specific one counts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::vm::{CacheChoice, CacheMode, EffectiveCache, VmState};
use crate::words::words;

/// A mode as it is set somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSet {
    /// The mode.
    pub mode: CacheChoice,
    /// Whether whoever set it accepts that a crash of the host loses what is on the disks. `unsafe` is refused otherwise.
    #[serde(default)]
    pub accepts_loss: bool,
}

/// What is set for a storage, a virtual machine or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheSettings {
    /// For what kind of thing.
    pub level: CacheLevel,
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What is set for it. Absent: it takes what is set less specifically.
    pub set: Option<CacheSet>,
    /// What was changed about it.
    pub changes: Vec<CacheChanged>,
}

/// A change of what is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheChanged {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// What was set before; absent: nothing.
    pub from: Option<CacheChoice>,
    /// What was set afterwards; absent: nothing.
    pub to: Option<CacheChoice>,
}

/// In which mode a volume is opened, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheExplanation {
    /// The volume.
    pub volume: Uuid,
    /// Its name.
    pub volume_name: String,
    /// The virtual machine that it is a disk of.
    pub vm: Option<Uuid>,
    /// The name of that.
    pub vm_name: Option<String>,
    /// What that does.
    pub vm_state: Option<VmState>,
    /// What is set where, the most specific first.
    pub levels: Vec<CacheLevelSet>,
    /// What counts.
    pub requested: CacheSet,
    /// Where that is set.
    pub set_at: CacheLevel,
    /// The mode that is in force, or that the host settled for the next start. Absent while it is a disk of nobody.
    pub effective: Option<EffectiveCache>,
    /// What it takes until the mode is in force that is set for it now. Absent while it is a disk of nobody.
    pub pending: Option<CacheOutcome>,
    /// What it would come to, if it were settled now.
    pub now: CacheJudgement,
    /// The sector that a guest sees; absent while no guest has had it.
    pub sector_bytes: Option<u32>,
    /// What was changed about the volume's own mode.
    pub changes: Vec<CacheChanged>,
}

/// What is set at one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheLevelSet {
    /// The level.
    pub level: CacheLevel,
    /// What it is called: a name, or `vm.cacheMode`.
    pub name: String,
    /// What is set.
    pub set: Option<CacheSet>,
    /// Whether it is what counts.
    pub counts: bool,
}

/// What a mode would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheJudgement {
    /// The mode. Absent: it would be refused, or the host does not answer.
    pub mode: Option<CacheMode>,
    /// Whether it would be refused.
    pub refused: bool,
    /// Why.
    pub reason: String,
    /// What one should know.
    pub warnings: Vec<String>,
    /// The sector that the guest would see.
    pub sector_bytes: Option<u32>,
    /// What O_DIRECT is worth at the file and at every image under it.
    pub evidence: Vec<CacheLayer>,
}

/// What O_DIRECT is worth at one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheLayer {
    /// The file.
    pub path: String,
    /// Whether it is the one that decided: where O_DIRECT is worth least.
    pub weakest: bool,
    /// What was found out comes to this.
    pub answer: DirectIo,
    /// The least block that O_DIRECT takes, where that is more than 512 bytes.
    pub block_bytes: Option<u32>,
    /// Where its file system is mounted; a block device itself.
    pub mount: String,
    /// The type of that, as the kernel names it.
    pub file_system: String,
    /// The number of its device: `254:0`.
    pub device: String,
    /// What statx(2) tells; absent: `STATX_DIOALIGN` is not in its mask.
    pub statx: Option<DirectIoAlignment>,
    /// How attempts were made: `writing` or `reading`.
    pub by: String,
    /// Opening a file with O_DIRECT.
    pub open: Attempted,
    /// 512 bytes at an aligned place.
    pub sector: Attempted,
    /// 4096 bytes at an aligned place.
    pub page: Attempted,
}

/// What memory and offsets have to be multiples of, in bytes. Both are 0 where O_DIRECT goes through the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectIoAlignment {
    /// Memory.
    pub memory_bytes: u32,
    /// Offsets and lengths.
    pub offset_bytes: u32,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempted {
    /// Whether it worked; absent: nobody tried.
    pub worked: Option<bool>,
    /// The number of the kernel's refusal, as in errno(3).
    pub errno: Option<i32>,
    /// Its words.
    pub message: Option<String>,
}

/// Asks what would come of a change. Nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheDryRun {
    /// Where it would be set.
    pub level: CacheLevel,
    /// The storage, virtual machine or volume, by id or name; left out for `global`.
    #[serde(default)]
    pub name: Option<String>,
    /// What would be set; left out: what is set there would be cleared.
    #[serde(default)]
    pub set: Option<CacheSet>,
}

/// What would come of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheImpact {
    /// In a sentence: "12 running virtual machines keep their mode until a restart, 3 can change live".
    pub summary: String,
    /// The virtual machines with a disk that it is about, and volumes that are disks of nobody.
    pub disks: Vec<CacheImpactDisk>,
    /// How many virtual machines come to what. One counts by the disk of which least would come.
    pub counts: Vec<CacheImpactCount>,
}

/// How many virtual machines come to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheImpactCount {
    /// What.
    pub outcome: CacheOutcome,
    /// How many.
    pub vms: u64,
}

/// What would come of a change for one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheImpactDisk {
    /// The virtual machine that it is a disk of.
    pub vm_name: Option<String>,
    /// The volume.
    pub volume_name: String,
    /// What would come of it.
    pub outcome: CacheOutcome,
    /// The mode that is in force, or that it would be started in.
    pub from: Option<CacheMode>,
    /// The mode that it would get.
    pub to: Option<CacheMode>,
    /// Why.
    pub reason: String,
}

words! {
    /// Where a cache mode is set.
    CacheLevel {
        /// For the volume.
        Volume = "volume",
        /// For the virtual machine.
        Vm = "vm",
        /// For the storage.
        Storage = "storage",
        /// For everything: `vm.cacheMode`.
        Global = "global",
    }
    /// What O_DIRECT is worth.
    DirectIo {
        /// It goes past the page cache, also for single sectors.
        Direct = "direct",
        /// It is accepted, and goes through the page cache all the same.
        Buffered = "buffered",
        /// It is refused.
        Refused = "refused",
        /// It takes larger blocks than a guest's sectors.
        Larger = "larger",
    }
    /// How QEMU waits for the host's reads and writes.
    CacheIo {
        /// A pool of threads.
        Threads = "threads",
        /// Linux' own asynchronous calls.
        Native = "native",
        /// A ring that is shared with the kernel.
        IoUring = "io_uring",
    }
    /// What comes of a change.
    CacheOutcome {
        /// It works as it is asked for already.
        Unchanged = "unchanged",
        /// It is off, and gets it when it is started.
        NextStart = "next_start",
        /// It runs, and its mode can be changed while it does.
        Live = "live",
        /// It runs, and keeps its mode until it is turned off and on.
        Restart = "restart",
        /// Its host does not answer.
        Unknown = "unknown",
        /// It would not start with it.
        Refused = "refused",
    }
}
