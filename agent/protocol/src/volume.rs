//! Volumes, images, and the folders that they lie in. Paths are absolute paths of the agent's host.

use serde::{Deserialize, Serialize};

use crate::vm::Format;

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The file.
    pub path: String,
    /// What is in it.
    pub format: Format,
    /// What the guest sees, in bytes.
    pub size_bytes: u64,
    /// What it takes of its file system, in bytes.
    pub allocated_bytes: u64,
    /// The image that it lies on.
    pub backing: Option<String>,
}

/// An image under a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backing {
    /// The file.
    pub path: String,
    /// What is in it.
    pub format: Format,
}

/// Makes a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// The file to be made.
    pub path: String,
    /// What will be in it.
    pub format: Format,
    /// What the guest will see, in bytes, a multiple of 512. None: as big as the image under it.
    pub size_bytes: Option<u64>,
    /// The image that it lies on.
    pub backing: Option<Backing>,
}

/// Makes a volume bigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeRequest {
    /// The file.
    pub path: String,
    /// What was recorded to be in it.
    pub format: Format,
    /// What the guest will see, in bytes, a multiple of 512.
    pub size_bytes: u64,
}

/// Names a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeRequest {
    /// The file.
    pub path: String,
    /// What was recorded to be in it.
    pub format: Format,
}

/// Names a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRequest {
    /// Which.
    pub path: String,
}

/// Copies an image into a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The file to be copied.
    pub source: String,
    /// The file to be made.
    pub path: String,
}

/// An image that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// It as a volume.
    pub volume: Volume,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// What a folder offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder.
    pub path: String,
    /// Its file system, as the kernel names it.
    pub file_system: String,
    /// Size of the file system in bytes; 0 where it has none.
    pub capacity_bytes: u64,
    /// What of it can still be written, in bytes; 0 where it has no size.
    pub available_bytes: u64,
}
