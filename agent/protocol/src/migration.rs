//! Whether a virtual machine may migrate as it is, and why not. Migrating is no call yet.

use serde::{Deserialize, Serialize};

use crate::vm::CacheMode;

/// Whether a virtual machine may migrate as its disks are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Whether none of its disks and drives is in the way.
    pub may: bool,
    /// Whether its QEMU drops what the page cache has of a disk as it hands over, as since version 4.0.
    pub drops_cache: bool,
    /// Its disks and drives.
    pub disks: Vec<MigrationDisk>,
}

/// A disk or drive, as a migration sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationDisk {
    /// Its name in the virtual machine.
    pub target: String,
    /// The mode that is in force.
    pub mode: CacheMode,
    /// Where it lies.
    pub reach: Reach,
    /// Whether it is no obstacle.
    pub safe: bool,
    /// Why, or why not.
    pub reason: String,
    /// What to do where it is one.
    pub remedy: Option<String>,
}

/// Where a disk lies, as far as another host is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// On this host alone.
    Local,
    /// On a file system that both hosts have.
    Shared,
    /// On one that keeps the page caches of its hosts in step.
    Coherent,
    /// Over the network, by QEMU itself.
    Network,
}
