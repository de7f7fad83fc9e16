//! Disks of virtual machines: `/api/v1/volumes`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cache::CacheSet;
use crate::words::words;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Identity of its storage.
    pub storage: Uuid,
    /// Name of its storage.
    pub storage_name: String,
    /// Identity of the image that it lies on.
    pub image: Option<Uuid>,
    /// Name of that image.
    pub image_name: Option<String>,
    /// Identity of the virtual machine that it is a disk of.
    pub vm: Option<Uuid>,
    /// Name of that virtual machine.
    pub vm_name: Option<String>,
    /// Its file, as its host names it.
    pub path: String,
    /// What is in the file.
    pub format: Format,
    /// What a guest sees.
    pub size_bytes: Option<u64>,
    /// What it took of its storage, when it was looked at last.
    pub allocated_bytes: Option<u64>,
    /// The sector that guests see; absent while no guest has had it.
    pub sector_bytes: Option<u32>,
    /// The cache mode that is set for it.
    pub cache: Option<CacheSet>,
    /// Where it stands.
    pub phase: Phase,
    /// When it was asked for.
    pub created_at_ms: i64,
}

/// All volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeList {
    /// By name.
    pub volumes: Vec<Volume>,
}

/// Makes a volume, blank or on an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeRequest {
    /// Its name.
    pub name: String,
    /// The storage, by id or name. May be left out where there is an image or only one storage.
    #[serde(default)]
    pub storage: Option<String>,
    /// The image that it is to lie on, by id or name.
    #[serde(default)]
    pub image: Option<String>,
    /// What a guest will see, a multiple of 512. May be left out where there is an image: then as big as that.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Its cache mode, with who accepts what `unsafe` costs. If left out, what is set less specifically counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSet>,
}

/// Makes a volume bigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeRequest {
    /// What a guest will see, a multiple of 512.
    pub size_bytes: u64,
}

words! {
    /// What is in the file of a volume or image.
    Format {
        /// The guest's sectors and nothing else.
        Raw = "raw",
        /// QEMU's own format.
        Qcow2 = "qcow2",
    }
    /// Where something stands that a task makes and another removes.
    Phase {
        /// A task makes it.
        Creating = "creating",
        /// It can be used.
        Ready = "ready",
        /// A task removes it.
        Deleting = "deleting",
        /// A task failed and could not put back what it did; it can be deleted.
        Broken = "broken",
    }
}
