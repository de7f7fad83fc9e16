//! Volumes and the folders that they lie in.

use std::path::PathBuf;

use crate::spec::Format;

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// The file to be made. Its folder exists, the file does not.
    pub path: PathBuf,
    /// What will be in it.
    pub format: Format,
    /// What the guest will see, in bytes, a multiple of 512. None: as big as the image under it.
    pub size_bytes: Option<u64>,
    /// The image that it lies on; the volume is qcow2 then.
    pub backing: Option<Backing>,
}

/// An image under a volume. It must not change as long as the volume exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub format: Format,
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub format: Format,
    /// What the guest sees, in bytes.
    pub size_bytes: u64,
    /// What it takes of its file system, in bytes.
    pub allocated_bytes: u64,
    /// The image that it lies on.
    pub backing: Option<PathBuf>,
}

/// An image that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// It as a volume.
    pub volume: Volume,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// A folder that volumes may lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Its file system, as the kernel names it: `ext4`, `ramfs`.
    pub file_system: String,
    /// Size of the file system in bytes; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it can still be written, in bytes; 0 where it has no size.
    pub available_bytes: u64,
}
