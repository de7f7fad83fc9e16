//! Where images and volumes lie: `/api/v1/storages`. A storage is a folder of a host.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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
