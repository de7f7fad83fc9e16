//! Work that takes long: `/api/v1/tasks`. A task is made of steps. One that fails or is cancelled puts back what it
//! did; one that a restart of the server interrupts goes on afterwards.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ErrorReply;
use crate::event::Kind;
use crate::words::words;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its identity.
    pub id: Uuid,
    /// What it does.
    pub action: Action,
    /// What it does it to.
    pub subject: Subject,
    /// Where it stands.
    pub state: TaskState,
    /// How much of it is done, in percent.
    pub progress_percent: u8,
    /// What it waits for, while it waits.
    pub waits_for: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<TaskStep>,
    /// Why it failed.
    pub error: Option<ErrorReply>,
    /// True if somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at_ms: i64,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
}

/// What a task is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    /// What kind of resource.
    pub kind: Kind,
    /// Which.
    pub id: Uuid,
    /// Its name when the task was made.
    pub name: String,
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskStep {
    /// What it does, for people.
    pub title: String,
    /// Where it stands.
    pub state: StepState,
}

/// All tasks that are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// Newest first.
    pub tasks: Vec<Task>,
}

words! {
    /// What tasks do.
    Action {
        /// Copies an image into a storage.
        ImageImport = "image_import",
        /// Removes an image.
        ImageDelete = "image_delete",
        /// Makes a volume.
        VolumeCreate = "volume_create",
        /// Makes a volume bigger.
        VolumeResize = "volume_resize",
        /// Removes a volume.
        VolumeDelete = "volume_delete",
        /// Makes a virtual machine with its volumes.
        VmCreate = "vm_create",
        /// Turns it on.
        VmStart = "vm_start",
        /// Presses its power button and waits until it is off.
        VmShutdown = "vm_shutdown",
        /// Cuts its power.
        VmForceOff = "vm_force_off",
        /// Presses its power button and turns it on again.
        VmReboot = "vm_reboot",
        /// Changes the cache modes of its disks while it runs.
        VmApplyCache = "vm_apply_cache",
        /// Presses its reset button.
        VmReset = "vm_reset",
        /// Stops its processors.
        VmPause = "vm_pause",
        /// Lets them go on.
        VmResume = "vm_resume",
        /// Removes it.
        VmDelete = "vm_delete",
        /// Adds a volume to it.
        VmAttachVolume = "vm_attach_volume",
        /// Takes a volume from it.
        VmDetachVolume = "vm_detach_volume",
        /// Lays an image into its CD-ROM drive.
        VmInsertMedia = "vm_insert_media",
        /// Empties its CD-ROM drive.
        VmEjectMedia = "vm_eject_media",
    }
    /// Where a task stands.
    TaskState {
        /// It is being done.
        Running = "running",
        /// It failed or was cancelled, and puts back what it did.
        Undoing = "undoing",
        /// It is done.
        Succeeded = "succeeded",
        /// It failed; what it did was put back.
        Failed = "failed",
        /// It was cancelled; what it did was put back.
        Cancelled = "cancelled",
    }
    /// Where a step stands.
    StepState {
        /// Its turn has not come.
        Pending = "pending",
        /// It was begun.
        Running = "running",
        /// It is done.
        Done = "done",
        /// It was put back, or never begun in a task that failed.
        Undone = "undone",
        /// It could not be put back.
        Stuck = "stuck",
    }
}

impl TaskState {
    /// True if nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Running | Self::Undoing => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}
