//! Changes are told, whoever makes them.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::room::{Room, START, START_PAUSED, done, refused};
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::{GuestKind, Outside};
use crate::spec::CacheMode;
use crate::state::{Change, Domain, State};

/// Waits until it is told that a domain is like this. Changes on the way there may be told or not.
async fn told(
    room: &Room,
    changes: &mut Receiver<Change>,
    uuid: Uuid,
    what: &str,
    is: impl Fn(&Domain) -> bool,
) {
    let waiting = async {
        loop {
            match changes.recv().await {
                Ok(Change::Changed(domain)) if domain.uuid == uuid && is(&domain) => break,
                Ok(Change::Changed(_)) => {}
                Ok(Change::Gone(gone)) => assert_ne!(gone, uuid, "{what}: the domain is told to be gone"),
                Ok(Change::Resync) | Err(RecvError::Lagged(_)) => {
                    if is(&room.domain(uuid).await) {
                        break;
                    }
                }
                Err(RecvError::Closed) => panic!("{what}: changes have come to their end"),
            }
        }
    };
    let waited = tokio::time::timeout(room.fixture.patience(), waiting).await;
    assert!(waited.is_ok(), "this is not told: {what}");
}

/// Waits until it is told that a domain is gone.
async fn told_gone(room: &Room, changes: &mut Receiver<Change>, uuid: Uuid, what: &str) {
    let waiting = async {
        loop {
            match changes.recv().await {
                Ok(Change::Gone(gone)) if gone == uuid => break,
                Ok(Change::Gone(_) | Change::Changed(_)) => {}
                Ok(Change::Resync) | Err(RecvError::Lagged(_)) => {
                    if room.hypervisor.domain(uuid).await.is_err() {
                        break;
                    }
                }
                Err(RecvError::Closed) => panic!("{what}: changes have come to their end"),
            }
        }
    };
    let waited = tokio::time::timeout(room.fixture.patience(), waiting).await;
    assert!(waited.is_ok(), "this is not told: {what}");
}

pub(super) async fn own_changes_are_told(room: &Room) {
    let mut changes = room.hypervisor.changes();
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    let uuid = spec.uuid;
    room.define(&spec).await;
    told(room, &mut changes, uuid, "defined", |domain| domain.state == State::Shutoff).await;
    let steps = [
        (START_PAUSED, State::Paused),
        (Action::Resume, State::Running),
        (Action::Suspend, State::Paused),
        (Action::Destroy, State::Shutoff),
        (START, State::Running),
    ];
    for (action, state) in steps {
        room.act(uuid, action).await;
        told(room, &mut changes, uuid, &format!("{action:?}"), |domain| domain.state == state).await;
    }
    let disk = room.blank_disk("data", CacheMode::Writeback).await;
    done(room.hypervisor.attach_disk(uuid, &disk, Attempt::First).await, "attaching");
    told(room, &mut changes, uuid, "a disk attached", |domain| domain.disks.len() == 2).await;
    let media = room.media("iso").await;
    let full = |domain: &Domain| domain.cdroms.iter().any(|cdrom| cdrom.media.is_some());
    done(room.hypervisor.insert_media(uuid, 0, &media, Attempt::First).await, "inserting");
    told(room, &mut changes, uuid, "a medium inserted", full).await;
    done(room.hypervisor.eject_media(uuid, 0, Attempt::First).await, "ejecting");
    told(room, &mut changes, uuid, "a medium ejected", |domain| !full(domain)).await;
    room.act(uuid, Action::Destroy).await;
    told(room, &mut changes, uuid, "destroyed", |domain| domain.state == State::Shutoff).await;
    done(room.hypervisor.undefine(uuid, Attempt::First).await, "undefining");
    told_gone(room, &mut changes, uuid, "undefined").await;
}

pub(super) async fn what_others_do_is_told(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    let uuid = spec.uuid;
    room.define(&spec).await;
    let mut changes = room.hypervisor.changes();
    let steps = [
        (Outside::Start(uuid), State::Running),
        (Outside::Suspend(uuid), State::Paused),
        (Outside::Resume(uuid), State::Running),
        (Outside::Destroy(uuid), State::Shutoff),
    ];
    for (outside, state) in steps {
        let what = format!("somebody else's {outside:?}");
        room.fixture.outside(outside).await;
        told(room, &mut changes, uuid, &what, |domain| domain.state == state).await;
        assert_eq!(room.domain(uuid).await.state, state, "after {what}");
    }
    room.fixture.outside(Outside::Undefine(uuid)).await;
    told_gone(room, &mut changes, uuid, "somebody else's undefine").await;
    refused(room.hypervisor.domain(uuid).await, Kind::NotFound, "looking at what somebody undefined");
    room.define(&spec).await;
}

pub(super) async fn what_a_guest_does_is_told_to_all(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let other = room.fixture.hypervisor().await;
    let (mut one, mut two) = (room.hypervisor.changes(), other.changes());
    room.act(spec.uuid, Action::Shutdown { patience: room.fixture.patience() }).await;
    for changes in [&mut one, &mut two] {
        told(room, changes, spec.uuid, "a guest that turned itself off", |domain| {
            domain.state == State::Shutoff
        })
        .await;
    }
}
