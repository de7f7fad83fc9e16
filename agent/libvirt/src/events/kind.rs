//! The kinds of events that can be asked for.

use crate::wire::Procedure;

/// A kind of event, for all domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A domain was defined, started, suspended, stopped and so on.
    Lifecycle,
    /// A guest rebooted.
    Reboot,
    /// A disk failed, and what was done about it.
    IoError,
    /// The tray of a CD or floppy drive opened or closed.
    TrayChange,
    /// The guest has let go of a device.
    DeviceRemoved,
    /// A block job finished, failed, was canceled or got ready.
    BlockJob,
    /// The guest's agent came or went.
    AgentLifecycle,
    /// A device was attached.
    DeviceAdded,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Lifecycle,
        Self::Reboot,
        Self::IoError,
        Self::TrayChange,
        Self::DeviceRemoved,
        Self::BlockJob,
        Self::AgentLifecycle,
        Self::DeviceAdded,
    ];

    /// Its number (`virDomainEventID`).
    pub(crate) fn id(self) -> i32 {
        match self {
            Self::Lifecycle => 0,
            Self::Reboot => 1,
            // IO_ERROR_REASON, which tells all that IO_ERROR does and why.
            Self::IoError => 6,
            Self::TrayChange => 10,
            Self::DeviceRemoved => 15,
            // BLOCK_JOB_2, which names the disk by its target.
            Self::BlockJob => 16,
            Self::AgentLifecycle => 18,
            Self::DeviceAdded => 19,
        }
    }

    /// The kind that a message brings.
    pub(crate) fn of_message(procedure: Procedure) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.message() == procedure)
    }

    /// The message that brings it.
    pub(crate) fn message(self) -> Procedure {
        match self {
            Self::Lifecycle => Procedure::DomainEventCallbackLifecycle,
            Self::Reboot => Procedure::DomainEventCallbackReboot,
            Self::IoError => Procedure::DomainEventCallbackIoErrorReason,
            Self::TrayChange => Procedure::DomainEventCallbackTrayChange,
            Self::DeviceRemoved => Procedure::DomainEventCallbackDeviceRemoved,
            Self::BlockJob => Procedure::DomainEventBlockJob2,
            Self::AgentLifecycle => Procedure::DomainEventCallbackAgentLifecycle,
            Self::DeviceAdded => Procedure::DomainEventCallbackDeviceAdded,
        }
    }
}
