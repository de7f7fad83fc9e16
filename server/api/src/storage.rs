//! Where images and volumes lie: `/api/v1/storages`. A storage is a folder of a host.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cache::{Attempted, CacheLayer, CacheSet};
use crate::words::words;

/// A storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Storage {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Identity of its host.
    pub host: Uuid,
    /// Name of its host.
    pub host_name: String,
    /// The folder, as its host names it.
    pub path: String,
    /// The file system that the folder lies on, as the kernel names it.
    pub file_system: String,
    /// Size of that file system; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it can still be written, when it was looked at last.
    pub available_bytes: u64,
    /// When it was looked at last.
    pub seen_at_ms: i64,
    /// When it was added.
    pub created_at_ms: i64,
    /// The cache mode that is set for its volumes.
    pub cache: Option<CacheSet>,
    /// What it is worth for disks, as it was measured last.
    pub check: Option<StorageCheck>,
    /// Why it could not be measured the last time.
    pub check_failure: Option<String>,
}

/// What a storage is worth for disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageCheck {
    /// When it was measured.
    pub at_ms: i64,
    /// What O_DIRECT is worth.
    pub direct_io: CacheLayer,
    /// Size of its file system; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it could still be written.
    pub available_bytes: u64,
    /// How many files it can have; 0 where it sets no limit.
    pub inodes: u64,
    /// How many more.
    pub free_inodes: u64,
    /// What fsync(2) takes; absent: it failed, and a finding says why.
    pub fsync: Option<FsyncLatency>,
    /// Giving back the room of a part of a file.
    pub hole_punching: Attempted,
    /// A copy that takes no room.
    pub reflink: Attempted,
    /// What each of it means.
    pub findings: Vec<StorageFinding>,
}

/// What a flush takes, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FsyncLatency {
    /// How often it was done.
    pub samples: u32,
    /// Half of them took no longer.
    pub median_us: u64,
    /// All but one of a hundred took no longer; of fewer, all.
    pub percentile_99_us: u64,
}

/// What one thing that was measured means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageFinding {
    /// Which thing.
    pub subject: CheckSubject,
    /// How good that is.
    pub verdict: CheckVerdict,
    /// What was seen.
    pub evidence: String,
    /// What it means, or what to do.
    pub advice: Option<String>,
}

words! {
    /// What is measured.
    CheckSubject {
        /// What O_DIRECT is worth.
        DirectIo = "direct_io",
        /// The blocks that O_DIRECT takes.
        Alignment = "alignment",
        /// Room.
        Space = "space",
        /// Room for files.
        Inodes = "inodes",
        /// What a flush takes.
        Flush = "flush",
        /// Giving back what a guest discards.
        HolePunching = "hole_punching",
        /// Copies that take no room.
        Reflink = "reflink",
    }
    /// How good something is for disks.
    CheckVerdict {
        /// As it should be.
        Good = "good",
        /// It works, and something is lost by it.
        Note = "note",
        /// Somebody should do something.
        Beware = "beware",
    }
}

/// All storages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageList {
    /// By name.
    pub storages: Vec<Storage>,
}

/// Adds a storage. The folder is looked at first; it is made if only it is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageRequest {
    /// Its name.
    pub name: String,
    /// Its host, by id or name. May be left out where there is only one host.
    #[serde(default)]
    pub host: Option<String>,
    /// The folder: an absolute path of that host.
    pub path: String,
}
