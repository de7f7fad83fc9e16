//! Attaching and detaching disks.

use super::room::{Room, START, START_PAUSED, done, names, refused};
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{CacheMode, Disk, DiskBus, DiskId, Format};
use crate::state::{Domain, State};

const MODE: CacheMode = CacheMode::Writeback;

fn ids(domain: &Domain) -> Vec<DiskId> {
    domain.disks.iter().map(|disk| disk.id).collect()
}

pub(super) async fn an_attached_disk_stays(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let disk = room.blank_disk("data", MODE).await;
    let expected = [spec.disks[0].id, disk.id];
    let domain = done(room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await, "attaching");
    assert_eq!(ids(&domain), expected);
    let shown = &domain.disks[1];
    assert_eq!((&shown.source, shown.format, shown.bus), (&disk.source, disk.format, disk.bus));
    assert_eq!(shown.target, "vdb");
    assert_eq!(room.domain(spec.uuid).await, domain);
    for state in ["off", "on"] {
        let action = if state == "off" { Action::Destroy } else { START };
        assert_eq!(ids(&room.act(spec.uuid, action).await), expected, "turned {state}");
    }
}

pub(super) async fn disks_are_attached_while_it_is_off_or_paused(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.define(&spec).await;
    let mut expected = vec![spec.disks[0].id];
    for action in [None, Some(START_PAUSED), Some(Action::Destroy)] {
        let state = match action {
            None => State::Shutoff,
            Some(action) => room.act(spec.uuid, action).await.state,
        };
        let disk = room.blank_disk(&format!("data{}", expected.len()), MODE).await;
        expected.push(disk.id);
        let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        let domain = done(attached, "attaching");
        assert_eq!((ids(&domain), domain.state), (expected.clone(), state));
    }
    assert_eq!(ids(&room.act(spec.uuid, START_PAUSED).await), expected);
}

pub(super) async fn a_disk_is_attached_once(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    let disk = room.blank_disk("data", MODE).await;
    room.define(&spec).await;
    for attempt in [Attempt::First, Attempt::Again] {
        done(room.hypervisor.attach_disk(spec.uuid, &disk, attempt).await, "attaching");
    }
    for state in ["off", "running"] {
        if state == "running" {
            room.act(spec.uuid, START).await;
        }
        let twice = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        refused(twice, Kind::Exists, &format!("attaching twice while {state}"));
        let again = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::Again).await;
        assert_eq!(done(again, "attaching in a later attempt").disks.len(), 2);
        let source = room.blank_disk(&format!("other-{state}"), MODE).await.source;
        let other = Disk { source, ..disk.clone() };
        for attempt in [Attempt::First, Attempt::Again] {
            let other = room.hypervisor.attach_disk(spec.uuid, &other, attempt).await;
            refused(other, Kind::Exists, "attaching another file with the same identity");
        }
        let same_file = Disk { id: DiskId(room.uuid()), ..disk.clone() };
        let same_file = room.hypervisor.attach_disk(spec.uuid, &same_file, Attempt::First).await;
        refused(same_file, Kind::Conflict, "attaching the same file with another identity");
    }
}

pub(super) async fn what_is_no_disk_is_not_attached(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.define(&spec).await;
    room.act(spec.uuid, START).await;
    let missing = room.disk(room.path("missing"), Format::Raw, MODE);
    let attached = room.hypervisor.attach_disk(spec.uuid, &missing, Attempt::First).await;
    names(&refused(attached, Kind::NotFound, "attaching a missing file"), &missing.source);
    for bad in ["relative", "/with/../dots", "/"] {
        let bad = room.disk(bad.into(), Format::Raw, MODE);
        let attached = room.hypervisor.attach_disk(spec.uuid, &bad, Attempt::First).await;
        refused(attached, Kind::Invalid, "attaching what has no plain path");
    }
    assert_eq!(ids(&room.domain(spec.uuid).await), [spec.disks[0].id]);
    room.act(spec.uuid, Action::Destroy).await;
    assert_eq!(ids(&room.act(spec.uuid, START_PAUSED).await), [spec.disks[0].id], "after a new start");
}

pub(super) async fn sata_disks_are_attached_while_it_is_off(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.paused(&spec).await;
    let disk = Disk { bus: DiskBus::Sata, ..room.blank_disk("data", MODE).await };
    let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
    refused(attached, Kind::Unsupported, "attaching a `sata` disk while it runs");
    room.act(spec.uuid, Action::Destroy).await;
    done(room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await, "attaching while it is off");
    assert_eq!(room.act(spec.uuid, START_PAUSED).await.disks.len(), 2);
    let detached = room.hypervisor.detach_disk(spec.uuid, disk.id, Attempt::First).await;
    refused(detached, Kind::Unsupported, "detaching a `sata` disk while it runs");
}

pub(super) async fn a_disk_is_detached_while_it_is_off(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    let root = spec.disks[0].id;
    let (first, second) = (room.blank_disk("first", MODE).await, room.blank_disk("second", MODE).await);
    spec.disks.extend([first.clone(), second.clone()]);
    room.define(&spec).await;
    let detach = |id, attempt| room.hypervisor.detach_disk(spec.uuid, id, attempt);
    assert_eq!(ids(&done(detach(first.id, Attempt::First).await, "detaching")), [root, second.id]);
    refused(detach(first.id, Attempt::First).await, Kind::NotFound, "detaching what was detached");
    let again = done(detach(first.id, Attempt::Again).await, "detaching in a later attempt");
    assert_eq!(ids(&again), [root, second.id]);
    let target = |domain: &Domain| domain.disks.last().map(|disk| disk.target.clone());
    assert_eq!(target(&again).as_deref(), Some("vdc"), "the other disk got another name");
    let unknown = detach(DiskId(room.uuid()), Attempt::First).await;
    refused(unknown, Kind::NotFound, "detaching a disk that never was");
    assert_eq!(ids(&room.act(spec.uuid, START_PAUSED).await), [root, second.id]);
    room.act(spec.uuid, Action::Destroy).await;
    done(room.hypervisor.attach_disk(spec.uuid, &first, Attempt::First).await, "attaching it anew");
}

pub(super) async fn a_running_guest_lets_go_or_keeps_its_disk(room: &Room) {
    for guest in [GuestKind::Answering, GuestKind::Silent] {
        let suffix = if guest == GuestKind::Silent { "silent" } else { "answering" };
        let mut spec = room.with_guest(suffix, guest).await;
        let root = spec.disks[0].id;
        let disk = room.blank_disk(&format!("{suffix}.data"), MODE).await;
        spec.disks.push(disk.clone());
        room.booted(&spec).await;
        let detached = room.hypervisor.detach_disk(spec.uuid, disk.id, Attempt::First).await;
        if guest == GuestKind::Answering && room.fixture.lets_go() {
            assert_eq!(ids(&done(detached, "detaching from a running domain")), [root]);
            room.act(spec.uuid, Action::Destroy).await;
            assert_eq!(
                ids(&room.act(spec.uuid, START_PAUSED).await),
                [root],
                "it came back with the next start"
            );
        } else {
            refused(detached, Kind::GuestSilent, "detaching from a guest that keeps it");
            assert_eq!(ids(&room.domain(spec.uuid).await), [root, disk.id]);
            room.act(spec.uuid, Action::Destroy).await;
            assert_eq!(
                ids(&room.act(spec.uuid, START_PAUSED).await),
                [root, disk.id],
                "it went with the next start"
            );
        }
    }
}
