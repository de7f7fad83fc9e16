//! What volumes are made from and CD-ROM drives are filled with: `/api/v1/images`. An image lies in a storage and never
//! changes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::volume::{Format, Phase};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Identity of its storage.
    pub storage: Uuid,
    /// Name of its storage.
    pub storage_name: String,
    /// Its file, as its host names it.
    pub path: String,
    /// Where it was copied from.
    pub source: String,
    /// What is in the file; absent until it was looked into.
    pub format: Option<Format>,
    /// What a guest sees.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Where it stands.
    pub phase: Phase,
    /// When it was asked for.
    pub created_at_ms: i64,
}

/// All images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// By name.
    pub images: Vec<Image>,
}

/// Copies a file of a host into a storage of that host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// Its name.
    pub name: String,
    /// The storage, by id or name. May be left out where there is only one.
    #[serde(default)]
    pub storage: Option<String>,
    /// The file to be copied: an absolute path of the storage's host.
    pub source: String,
    /// The SHA-256 that the file must have, in hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
}
