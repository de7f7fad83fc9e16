//! What an event tells.

use super::detail::{AgentReason, AgentState, BlockJobStatus, BlockJobType, IoErrorAction, TrayReason};
use super::kind::EventKind;
use super::lifecycle::Lifecycle;
use crate::domain::Domain;
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder};

/// Something happened to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvent {
    /// To which one.
    pub domain: Domain,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its life went on.
    Lifecycle(Lifecycle),
    /// The guest rebooted.
    Reboot,
    /// A disk failed.
    IoError {
        /// The image, as a path of the host.
        src_path: String,
        /// The device, by its alias: `virtio-disk0`.
        dev_alias: String,
        /// What was done about it.
        action: IoErrorAction,
        /// Why: `enospc`, or empty for any other cause.
        reason: String,
    },
    /// A tray moved.
    TrayChange {
        /// The device, by its alias: `ide0-0-0`.
        dev_alias: String,
        /// Which way.
        reason: TrayReason,
    },
    /// The guest has let go of a device: only now is it detached.
    DeviceRemoved {
        /// The device, by its alias.
        dev_alias: String,
    },
    /// A block job went on.
    BlockJob {
        /// The disk, by its target: `vda`.
        disk: String,
        /// Which job.
        kind: BlockJobType,
        /// How it went on.
        status: BlockJobStatus,
    },
    /// The guest's agent came or went.
    AgentLifecycle {
        /// Whether it is there.
        state: AgentState,
        /// Why this is told.
        reason: AgentReason,
    },
    /// A device was attached.
    DeviceAdded {
        /// The device, by its alias.
        dev_alias: String,
    },
}

impl DomainEvent {
    /// The kind it was asked for by.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self.event {
            Event::Lifecycle(_) => EventKind::Lifecycle,
            Event::Reboot => EventKind::Reboot,
            Event::IoError { .. } => EventKind::IoError,
            Event::TrayChange { .. } => EventKind::TrayChange,
            Event::DeviceRemoved { .. } => EventKind::DeviceRemoved,
            Event::BlockJob { .. } => EventKind::BlockJob,
            Event::AgentLifecycle { .. } => EventKind::AgentLifecycle,
            Event::DeviceAdded { .. } => EventKind::DeviceAdded,
        }
    }

    /// The event that a message brings; none where it brings something else.
    pub(crate) fn from_message(procedure: Procedure, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some(kind) = EventKind::of_message(procedure) else { return Ok(None) };
        let mut from = Decoder::new(body);
        let (_callback, domain) = <(i32, Domain)>::decode(&mut from)?;
        let event = match kind {
            EventKind::Lifecycle => Event::Lifecycle(Lifecycle::decode(&mut from)?),
            EventKind::Reboot => Event::Reboot,
            EventKind::IoError => {
                let (src_path, dev_alias, action, reason) = Decode::decode(&mut from)?;
                Event::IoError { src_path, dev_alias, action, reason }
            }
            EventKind::TrayChange => {
                let (dev_alias, reason) = Decode::decode(&mut from)?;
                Event::TrayChange { dev_alias, reason }
            }
            EventKind::DeviceRemoved => Event::DeviceRemoved { dev_alias: Decode::decode(&mut from)? },
            EventKind::BlockJob => {
                let (disk, kind, status) = Decode::decode(&mut from)?;
                Event::BlockJob { disk, kind, status }
            }
            EventKind::AgentLifecycle => {
                let (state, reason) = Decode::decode(&mut from)?;
                Event::AgentLifecycle { state, reason }
            }
            EventKind::DeviceAdded => Event::DeviceAdded { dev_alias: Decode::decode(&mut from)? },
        };
        from.finish()?;
        Ok(Some(Self { domain, event }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::StoppedDetail;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let head = b"\0\0\0\x05\0\0\0\x02vm\0\0................\xff\xff\xff\xff";
        let bytes = [&head[..], b"\0\0\0\x05\0\0\0\x01"].concat();
        let procedure = Procedure::DomainEventCallbackLifecycle;
        let event = DomainEvent::from_message(procedure, &bytes).unwrap().unwrap();
        assert_eq!((event.domain.name.as_str(), event.domain.id), ("vm", None));
        assert_eq!(event.event, Event::Lifecycle(Lifecycle::Stopped(StoppedDetail::Destroyed)));
        assert!(DomainEvent::from_message(procedure, head).is_err());
        assert_eq!(DomainEvent::from_message(Procedure::ConnectOpen, &bytes), Ok(None));
        let bytes = [&head[..], b"\0\0\0\x03vda\0\0\0\0\x02\0\0\0\x03"].concat();
        let event = DomainEvent::from_message(Procedure::DomainEventBlockJob2, &bytes).unwrap().unwrap();
        let (kind, status) = (BlockJobType::Copy, BlockJobStatus::Ready);
        assert_eq!(event.event, Event::BlockJob { disk: "vda".to_owned(), kind, status });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            for kind in EventKind::ALL {
                let _ = DomainEvent::from_message(kind.message(), &bytes);
            }
        }
    }
}
