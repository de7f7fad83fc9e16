//! Cache modes where O_DIRECT works: what was asked for is what QEMU does.

use super::room::{MIB, Room, START, START_PAUSED, check_cache, done};
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{CacheMode, CacheRequest, CdromDrive, Format};
use crate::state::{Domain, Effective};
use crate::storage::{Backing, VolumeSpec};

/// Checks that disks, from the first one on, have these modes, and that libvirt finds nothing doubtful.
#[track_caller]
fn check_disks(domain: &Domain, modes: &[CacheMode], what: &str) {
    assert_eq!(domain.disks.len(), modes.len(), "{what}: {domain:?}");
    for (disk, mode) in domain.disks.iter().zip(modes) {
        check_cache(&disk.cache, *mode, domain.state.is_active(), &format!("{what} `{}`", disk.target));
    }
    assert_eq!(domain.taints, Vec::<String>::new());
}

pub(super) async fn a_root_disk_works_in_every_mode(room: &Room) {
    for mode in CacheMode::ALL.iter().copied() {
        let path = room.path(&format!("{mode}.root"));
        room.fixture.guest(&path, GuestKind::Answering).await;
        let spec = room.with_root(mode.as_str(), path, mode);
        check_disks(&room.define(&spec).await, &[mode], "the root disk of a new domain");
        check_disks(&room.act(spec.uuid, START).await, &[mode], "the root disk");
        room.writes(spec.uuid, 0).await;
        check_disks(&room.domain(spec.uuid).await, &[mode], "the root disk of a domain that has booted");
        check_disks(&room.act(spec.uuid, Action::Suspend).await, &[mode], "the root disk of a paused domain");
        check_disks(
            &room.act(spec.uuid, Action::Destroy).await,
            &[mode],
            "the root disk of a domain that is off",
        );
    }
}

pub(super) async fn data_disks_work_in_every_mode(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    let mut modes = vec![CacheMode::Writeback];
    for mode in CacheMode::ALL.iter().copied() {
        spec.disks.push(room.blank_disk(mode.as_str(), mode).await);
        modes.push(mode);
    }
    check_disks(&room.define(&spec).await, &modes, "a data disk of a new domain");
    check_disks(&room.act(spec.uuid, START_PAUSED).await, &modes, "a data disk");
    check_disks(&room.act(spec.uuid, Action::Destroy).await, &modes, "a data disk of a domain that is off");
}

pub(super) async fn overlays_work_in_every_mode(room: &Room) {
    let base = room.path("base");
    room.fixture.guest(&base, GuestKind::Answering).await;
    let mut spec = room.bare("vm");
    for mode in CacheMode::ALL.iter().copied() {
        let path = room.path(&format!("{mode}.qcow2"));
        let backing = Some(Backing { path: base.clone(), format: Format::Raw });
        let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
        done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
        spec.disks.push(room.disk(path, Format::Qcow2, mode));
    }
    check_disks(&room.paused(&spec).await, CacheMode::ALL, "an overlay");
}

pub(super) async fn disks_attached_while_it_runs_work_in_every_mode(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let mut modes = vec![CacheMode::Writeback];
    for mode in CacheMode::ALL.iter().copied() {
        let disk = room.blank_disk(mode.as_str(), mode).await;
        modes.push(mode);
        let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        check_disks(&done(attached, "attaching to a running domain"), &modes, "a disk that was attached");
    }
    check_disks(
        &room.act(spec.uuid, Action::Destroy).await,
        &modes,
        "an attached disk of a domain that is off",
    );
    check_disks(&room.act(spec.uuid, START_PAUSED).await, &modes, "an attached disk after a new start");
}

pub(super) async fn disks_attached_while_it_is_off_work_in_every_mode(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.define(&spec).await;
    let mut modes = vec![CacheMode::Writeback];
    for mode in CacheMode::ALL.iter().copied() {
        let disk = room.blank_disk(mode.as_str(), mode).await;
        modes.push(mode);
        let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        check_disks(&done(attached, "attaching to a domain that is off"), &modes, "a disk that was attached");
    }
    check_disks(
        &room.act(spec.uuid, START_PAUSED).await,
        &modes,
        "a disk that was attached before the start",
    );
}

fn media_of(domain: &Domain) -> Vec<&Effective> {
    let media = domain.cdroms.iter().filter_map(|cdrom| cdrom.media.as_ref());
    media.map(|media| &media.cache).collect()
}

pub(super) async fn media_work_in_every_mode(room: &Room) {
    let mut spec = room.bare("vm");
    spec.cdroms.clear();
    for mode in CacheMode::ALL.iter().copied() {
        spec.cdroms.push(CdromDrive::with(mode, room.media(mode.as_str()).await));
    }
    let domain = room.paused(&spec).await;
    assert_eq!(media_of(&domain).len(), CacheMode::ALL.len());
    for (cache, mode) in media_of(&domain).into_iter().zip(CacheMode::ALL) {
        check_cache(cache, *mode, true, "a medium");
    }
    let domain = room.act(spec.uuid, Action::Destroy).await;
    for (cache, mode) in media_of(&domain).into_iter().zip(CacheMode::ALL) {
        check_cache(cache, *mode, false, "a medium of a domain that is off");
    }
}

pub(super) async fn media_inserted_while_it_runs_work_in_every_mode(room: &Room) {
    for mode in CacheMode::ALL.iter().copied() {
        let mut spec = room.bare(mode.as_str());
        spec.cdroms = vec![CdromDrive::empty(mode)];
        room.define(&spec).await;
        let drive = room.act(spec.uuid, START).await.cdroms[0].cache;
        assert_eq!(drive, mode, "the mode of an empty drive");
        let media = room.media(mode.as_str()).await;
        let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
        let domain = done(inserted, "inserting into a running domain");
        assert_eq!(media_of(&domain).len(), 1);
        check_cache(media_of(&domain)[0], mode, true, "an inserted medium");
        assert_eq!(domain.taints, Vec::<String>::new());
        done(room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await, "ejecting");
    }
}

pub(super) async fn a_mode_outlives_resets_and_starts(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    let mut modes = vec![CacheMode::Writeback];
    for mode in [CacheMode::None, CacheMode::Directsync, CacheMode::Unsafe] {
        spec.disks.push(room.blank_disk(mode.as_str(), mode).await);
        modes.push(mode);
    }
    room.booted(&spec).await;
    check_disks(&room.act(spec.uuid, Action::Reset).await, &modes, "a disk after a reset");
    room.act(spec.uuid, Action::Destroy).await;
    let written = room.console_size(spec.uuid).await;
    check_disks(&room.act(spec.uuid, START).await, &modes, "a disk after power was cut");
    room.writes(spec.uuid, written).await;
    let other = room.fixture.hypervisor().await;
    let domain = done(other.domain(spec.uuid).await, "looking by another connection");
    check_disks(&domain, &modes, "a disk by another connection");
}

pub(super) async fn a_definition_is_replaced_with_another_mode(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.memory_bytes = 64 * MIB;
    for mode in CacheMode::ALL.iter().copied() {
        spec.disks[0].cache = CacheRequest::from(mode).accepting_loss();
        let domain = done(room.hypervisor.define(&spec, Attempt::Again).await, "replacing a definition");
        check_disks(&domain, &[mode], "the root disk after another definition");
    }
}
