//! What changes, as it changes: `GET /api/v1/events`, server-sent events.
//!
//! An event of type `changed` carries a [`Changed`]. One of type `list` carries nothing: what the client knows may be
//! old, because it has just come or was too slow, and it has to list again what it shows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::words::words;

/// A resource was made, changed or removed. What it is now, the client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// What kind of resource.
    pub kind: Kind,
    /// Which.
    pub id: Uuid,
}

words! {
    /// Kinds of resources.
    Kind {
        /// A host.
        Host = "host",
        /// A storage.
        Storage = "storage",
        /// An image.
        Image = "image",
        /// A volume.
        Volume = "volume",
        /// A virtual machine.
        Vm = "vm",
        /// A task.
        Task = "task",
        /// A setting.
        Setting = "setting",
        /// An API token.
        Token = "token",
    }
}
