//! Places in calls where a test takes hold of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Simulated;
use crate::error::Error;
use crate::lifecycle::Action;

/// A call of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the methods of the traits say what they do")]
pub enum Call {
    Domains,
    Domain,
    Define,
    Start,
    Shutdown,
    Destroy,
    Reboot,
    Reset,
    Suspend,
    Resume,
    SettleCache,
    ChangeCache,
    Suppose,
    Migration,
    Undefine,
    AttachDisk,
    DetachDisk,
    InsertMedia,
    EjectMedia,
    ConsoleLog,
    CreateVolume,
    ResizeVolume,
    DeleteVolume,
    Volume,
    ImportImage,
    Folder,
    Survey,
}

impl Call {
    /// Which call an action is.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        match action {
            Action::Start(_) => Self::Start,
            Action::Shutdown { .. } => Self::Shutdown,
            Action::Destroy => Self::Destroy,
            Action::Reboot { .. } => Self::Reboot,
            Action::Reset => Self::Reset,
            Action::Suspend => Self::Suspend,
            Action::Resume => Self::Resume,
        }
    }

    /// Whether it fails while libvirt is away. Volumes are files; only who has one is libvirt's to know.
    pub(super) const fn needs_libvirt(self) -> bool {
        match self {
            Self::CreateVolume
            | Self::Volume
            | Self::ImportImage
            | Self::Folder
            | Self::Survey
            | Self::Suppose => false,
            Self::Domains
            | Self::Domain
            | Self::Define
            | Self::Start
            | Self::Shutdown
            | Self::Destroy
            | Self::Reboot
            | Self::Reset
            | Self::Suspend
            | Self::Resume
            | Self::SettleCache
            | Self::ChangeCache
            | Self::Migration
            | Self::Undefine
            | Self::AttachDisk
            | Self::DetachDisk
            | Self::InsertMedia
            | Self::EjectMedia
            | Self::ConsoleLog
            | Self::ResizeVolume
            | Self::DeleteVolume => true,
        }
    }
}

/// When in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing was done yet.
    Before,
    /// All was done; the caller does not know it yet.
    After,
}

/// Calls wait here as long as it is held.
#[derive(Debug)]
pub struct Hold {
    pub(super) gate: Arc<Gate>,
}

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) arrived: watch::Sender<usize>,
    pub(super) open: watch::Sender<bool>,
}

impl Hold {
    pub(super) fn new() -> Self {
        Self { gate: Arc::new(Gate { arrived: watch::Sender::new(0), open: watch::Sender::new(false) }) }
    }

    /// Waits until so many calls have come here, those included that were given up meanwhile.
    pub async fn arrived(&self, calls: usize) {
        // Its sender lives as long as this does.
        let _ = self.gate.arrived.subscribe().wait_for(|count| *count >= calls).await;
    }

    /// Lets them go on, and those that come later.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open.send_replace(true);
    }
}

impl Gate {
    async fn wait(&self) {
        self.arrived.send_modify(|count| *count += 1);
        // Its sender lives as long as this does.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

impl Simulated {
    /// Every call comes by here when it begins and before it returns.
    pub(super) async fn pass(&self, call: Call, moment: Moment) -> Result<(), Error> {
        let (gate, delay) = {
            let mut world = self.world();
            if moment == Moment::Before {
                world.calls.push(call);
            }
            (world.gate(call, moment), world.delay(call, moment))
        };
        if let Some(gate) = gate {
            gate.wait().await;
        }
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        self.world().fault(call, moment)
    }
}
