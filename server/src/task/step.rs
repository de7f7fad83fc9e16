//! What tasks are made of. A step is data: which call to which agent, about which resources. It is stored
//! before it is begun, so that a server that starts again knows what the last one was doing. A stored step is
//! read by later versions: words are added, never changed.

use serde::{Deserialize, Serialize};
use server_api::vm::DiskBus;
use server_api::volume::Phase;

use crate::cache::Modes;
use crate::store::Id;

/// A step.
#[expect(missing_docs, reason = "a field is named after what it is the identity of")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Copy an image into its storage.
    ImportImage { image: Id },
    /// Remove the file of an image, and the image.
    DeleteImage {
        image: Id,
        /// Where it stood before.
        #[serde(default = "ready")]
        was: Phase,
    },
    /// Make the file of a volume.
    CreateVolume { volume: Id },
    /// Make the file of a volume bigger.
    ResizeVolume { volume: Id, size_bytes: u64 },
    /// Remove the file of a volume, and the volume.
    DeleteVolume {
        volume: Id,
        /// Where it stood before.
        #[serde(default = "ready")]
        was: Phase,
    },
    /// Define a virtual machine on its host.
    DefineVm {
        vm: Id,
        /// How its disks are to be opened: settled once, as in all steps.
        #[serde(default = "Modes::unsaid")]
        cache: Modes,
    },
    /// Turn it on.
    StartVm {
        vm: Id,
        /// How its disks are to be opened.
        #[serde(default = "Modes::unsaid")]
        cache: Modes,
    },
    /// Press its power button and wait until it is off.
    ShutdownVm {
        vm: Id,
        /// How long its guest has: settled once, so that a repeat is the same order.
        #[serde(default = "patience_ms")]
        patience_ms: u64,
    },
    /// Cut its power.
    DestroyVm {
        vm: Id,
        /// True if one that is off, or not there, is what is wanted.
        #[serde(default)]
        may_be_off: bool,
    },
    /// Press its power button and turn it on again.
    RebootVm {
        vm: Id,
        /// How long its guest has: settled once, so that a repeat is the same order.
        #[serde(default = "patience_ms")]
        patience_ms: u64,
        /// How its disks are to be opened when it is turned on again.
        #[serde(default = "Modes::unsaid")]
        cache: Modes,
    },
    /// Change how its disks are opened while it runs.
    ChangeCache {
        vm: Id,
        /// How which of them are to be opened. The others stay as they are.
        cache: Modes,
    },
    /// Press its reset button.
    ResetVm { vm: Id },
    /// Stop its processors.
    SuspendVm { vm: Id },
    /// Let them go on.
    ResumeVm { vm: Id },
    /// Remove its definition, and the virtual machine.
    UndefineVm {
        vm: Id,
        /// Where it stood before.
        #[serde(default = "ready")]
        was: Phase,
    },
    /// Add a volume to it.
    AttachVolume {
        vm: Id,
        volume: Id,
        bus: DiskBus,
        /// How it is to be opened.
        #[serde(default = "Modes::unsaid")]
        cache: Modes,
    },
    /// Take a volume from it.
    DetachVolume { vm: Id, volume: Id },
    /// Lay an image into its CD-ROM drive.
    InsertMedia { vm: Id, drive: u8, image: Id },
    /// Empty its CD-ROM drive.
    EjectMedia {
        vm: Id,
        drive: u8,
        /// True if a drive that is empty is what is wanted.
        #[serde(default)]
        may_be_empty: bool,
    },
}

/// What a step that was stored without a phase is taken to have begun with.
fn ready() -> Phase {
    Phase::Ready
}

/// The patience of a step that was stored without one.
fn patience_ms() -> u64 {
    90_000
}

impl Step {
    /// What it does, for people.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::ImportImage { .. } => "copy the image",
            Self::DeleteImage { .. } => "remove the image",
            Self::CreateVolume { .. } => "make the volume",
            Self::ResizeVolume { .. } => "make the volume bigger",
            Self::DeleteVolume { .. } => "remove the volume",
            Self::DefineVm { .. } => "define the virtual machine",
            Self::StartVm { .. } => "start it",
            Self::ShutdownVm { .. } => "press the power button and wait",
            Self::DestroyVm { .. } => "cut its power",
            Self::RebootVm { .. } => "press the power button, wait, and start it",
            Self::ChangeCache { .. } => "change the cache modes of its disks",
            Self::ResetVm { .. } => "press the reset button",
            Self::SuspendVm { .. } => "stop its processors",
            Self::ResumeVm { .. } => "let its processors go on",
            Self::UndefineVm { .. } => "remove the virtual machine",
            Self::AttachVolume { .. } => "add the volume",
            Self::DetachVolume { .. } => "take the volume",
            Self::InsertMedia { .. } => "lay the image into the drive",
            Self::EjectMedia { .. } => "empty the drive",
        }
    }

    /// How it asks for disks to be opened, if it says.
    #[must_use]
    pub fn cache(&self) -> Option<&Modes> {
        match self {
            Self::DefineVm { cache, .. }
            | Self::StartVm { cache, .. }
            | Self::RebootVm { cache, .. }
            | Self::ChangeCache { cache, .. }
            | Self::AttachVolume { cache, .. } => Some(cache),
            Self::ImportImage { .. }
            | Self::DeleteImage { .. }
            | Self::CreateVolume { .. }
            | Self::ResizeVolume { .. }
            | Self::DeleteVolume { .. }
            | Self::ShutdownVm { .. }
            | Self::DestroyVm { .. }
            | Self::ResetVm { .. }
            | Self::SuspendVm { .. }
            | Self::ResumeVm { .. }
            | Self::UndefineVm { .. }
            | Self::DetachVolume { .. }
            | Self::InsertMedia { .. }
            | Self::EjectMedia { .. } => None,
        }
    }

    /// True if it waits for a guest: then a cancelled task need not wait for its end.
    #[must_use]
    pub fn waits_for_a_guest(&self) -> bool {
        matches!(self, Self::ShutdownVm { .. } | Self::RebootVm { .. })
    }

    /// True if it removes something that is there already.
    #[must_use]
    pub fn removes(&self) -> bool {
        matches!(self, Self::DeleteImage { .. } | Self::DeleteVolume { .. } | Self::UndefineVm { .. })
    }
}

#[cfg(test)]
mod tests {
    use server_api::cache::CacheLevel;
    use server_api::vm::CacheChoice;

    use super::*;
    use crate::cache::{Asked, Requests};

    #[test]
    fn steps_of_release_0_9_ask_for_what_that_asked_for() {
        let id = Id(uuid::Uuid::nil());
        let (vm, volume, cache) = (id, id, Modes::unsaid());
        let (bus, patience_ms) = (DiskBus::Scsi, 5000);
        for (stored, step) in [
            (r#"{"step":"define_vm","vm":"ID"}"#, Step::DefineVm { vm, cache: cache.clone() }),
            (r#"{"step":"start_vm","vm":"ID"}"#, Step::StartVm { vm, cache: cache.clone() }),
            (
                r#"{"step":"reboot_vm","vm":"ID","patience_ms":5000}"#,
                Step::RebootVm { vm, patience_ms, cache: cache.clone() },
            ),
            (
                r#"{"step":"attach_volume","vm":"ID","volume":"ID","bus":"scsi"}"#,
                Step::AttachVolume { vm, volume, bus, cache },
            ),
        ] {
            let stored = stored.replace("ID", &id.to_string());
            assert_eq!(serde_json::from_str::<Step>(&stored).unwrap(), step);
        }
    }

    #[test]
    fn a_live_change_is_stored_with_what_is_asked_of_each_disk() {
        let (vm, volume) = (Id(uuid::Uuid::from_u128(1)), Id(uuid::Uuid::from_u128(2)));
        let asked = Asked { mode: CacheChoice::Unsafe, level: CacheLevel::Vm, accepts_loss: true };
        let drives = Asked { level: CacheLevel::Global, ..Asked::by_setting(CacheChoice::Auto) };
        let step =
            Step::ChangeCache { vm, cache: Modes::Each(Requests { disks: vec![(volume, asked)], drives }) };
        let stored = concat!(
            r#"{"step":"change_cache","vm":"00000000-0000-0000-0000-000000000001","cache":{"disks":["#,
            r#"["00000000-0000-0000-0000-000000000002",{"mode":"unsafe","level":"vm","accepts_loss":true}]],"#,
            r#""drives":{"mode":"auto","level":"global","accepts_loss":true}}}"#,
        );
        assert_eq!(serde_json::to_string(&step).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Step>(stored).unwrap(), step);
    }
}
