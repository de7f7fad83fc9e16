//! Cache modes that are changed while the domain runs: what QEMU does is what is shown, what needs a restart is refused before
//! anything is done, and the next start finds what was asked for.

use std::path::Path;

use super::room::{Room, START, START_PAUSED, check_choice, done, names, refused};
use crate::error::{Error, Kind};
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{CacheChoice, CacheMode, CacheRequest, DiskId, Format};
use crate::state::{Domain, State};
use crate::storage::{Backing, VolumeSpec};
use CacheChoice::{Auto, Directsync, None, Unsafe, Writeback, Writethrough};

/// What libvirt finds doubtful about a domain whose monitor was used, as part of its sentence.
const TAINT: &str = "custom monitor";

fn mode_of(choice: CacheChoice) -> CacheMode {
    // Where O_DIRECT is taken.
    choice.as_str().parse().unwrap_or(CacheMode::None)
}

/// Checks a disk that was started as `started` and is asked to be `choice` now.
#[track_caller]
fn check(domain: &Domain, disk: usize, started: CacheMode, choice: CacheChoice, what: &str) {
    let (mode, disk) = (mode_of(choice), &domain.disks[disk]);
    check_choice(&disk.cache, choice, mode, true, what);
    let said = disk.cache.reason.contains(&format!("libvirt's description says `{started}`"));
    assert_eq!(said, mode != started, "{what}: {}", disk.cache.reason);
    let others = CacheMode::ALL.iter().filter(|other| **other != mode);
    let expected: Vec<CacheMode> =
        others.copied().filter(|other| is_cached(*other) == is_cached(mode)).collect();
    assert_eq!(disk.live, expected, "{what}");
}

fn is_cached(mode: CacheMode) -> bool {
    ![CacheMode::Writethrough, CacheMode::Directsync].contains(&mode)
}

async fn change(room: &Room, uuid: uuid::Uuid, disk: DiskId, choice: CacheChoice) -> Domain {
    let changed = room
        .hypervisor
        .change_cache(uuid, &[(disk, CacheRequest::from(choice).accepting_loss())], Attempt::First)
        .await;
    done(changed, &format!("changing to `{choice}`"))
}

/// Checks that nothing was done.
async fn refuses(room: &Room, before: &Domain, disks: &[(DiskId, CacheChoice)], kind: Kind) -> Error {
    let disks: Vec<_> =
        disks.iter().map(|(id, choice)| (*id, CacheRequest::from(*choice).accepting_loss())).collect();
    let mut said = Vec::new();
    for attempt in [Attempt::First, Attempt::Again] {
        let changed = room.hypervisor.change_cache(before.uuid, &disks, attempt).await;
        said.push(refused(changed, kind, "changing a mode"));
        assert_eq!(room.domain(before.uuid).await, *before, "after a refused change");
    }
    said.remove(0)
}

pub(super) async fn modes_change_while_it_runs(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.disks.push(room.blank_disk("data", CacheMode::None).await);
    room.booted(&spec).await;
    let hot = room.blank_disk("hot", CacheMode::Unsafe).await;
    done(room.hypervisor.attach_disk(spec.uuid, &hot, Attempt::First).await, "attaching");
    let disks = [
        (spec.disks[0].id, CacheMode::Writeback),
        (spec.disks[1].id, CacheMode::None),
        (hot.id, CacheMode::Unsafe),
    ];
    for (at, (disk, started)) in disks.into_iter().enumerate() {
        for choice in [None, Unsafe, Writeback, Auto, Unsafe, None, Writeback, Writeback] {
            let changed = change(room, spec.uuid, disk, choice).await;
            check(&changed, at, started, choice, "a disk that was changed");
            assert!(changed.taints.iter().any(|taint| taint.contains(TAINT)), "{:?}", changed.taints);
            assert_eq!(room.domain(spec.uuid).await, changed, "looked at again");
        }
    }
    let other = room.fixture.hypervisor().await;
    let seen = done(other.domain(spec.uuid).await, "looking by another connection");
    assert_eq!(seen, room.domain(spec.uuid).await);
    // The guest is as well as before.
    let written = room.console_size(spec.uuid).await;
    room.act(spec.uuid, Action::Reset).await;
    room.writes(spec.uuid, written).await;
    for (at, (_, started)) in disks.into_iter().enumerate() {
        check(&room.domain(spec.uuid).await, at, started, Writeback, "a disk after a reset");
    }
}

pub(super) async fn what_was_changed_is_found_by_the_next_start(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Silent).await;
    spec.disks.push(room.blank_disk("data", CacheMode::None).await);
    room.paused(&spec).await;
    for (disk, choice) in [(0, Auto), (1, Unsafe)] {
        change(room, spec.uuid, spec.disks[disk].id, choice).await;
    }
    for action in [Action::Destroy, START_PAUSED] {
        let domain = room.act(spec.uuid, action).await;
        let active = domain.state.is_active();
        check_choice(&domain.disks[0].cache, Auto, CacheMode::None, active, "a disk that was changed");
        check_choice(&domain.disks[1].cache, Unsafe, CacheMode::Unsafe, active, "a disk that was changed");
        assert_eq!(domain.taints, Vec::<String>::new());
        let live = if active { vec![CacheMode::Writeback, CacheMode::Unsafe] } else { Vec::new() };
        assert_eq!(domain.disks[0].live, live);
    }
}

pub(super) async fn what_needs_a_restart_is_refused_first(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Silent).await;
    for mode in CacheMode::ALL {
        spec.disks.push(room.blank_disk(mode.as_str(), *mode).await);
    }
    let before = room.paused(&spec).await;
    for (disk, from) in spec.disks[1..].iter().zip(CacheMode::ALL) {
        for to in CacheMode::ALL.iter().filter(|to| is_cached(**to) != is_cached(*from)) {
            // Of the root disk it could be done.
            let asked = [(spec.disks[0].id, None), (disk.id, (*to).into())];
            let error = refuses(room, &before, &asked, Kind::Conflict).await;
            let Error::NeedsRestart { name, from: was, to: wanted, obstacle, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!((name, was, wanted), (&spec.name, from, to));
            assert!(obstacle.contains("write cache") && error.to_string().contains("restart"), "{error}");
        }
    }
    // Between these two the guest sees no difference.
    for (at, started, choice) in
        [(3, CacheMode::Writethrough, Directsync), (4, CacheMode::Directsync, Writethrough)]
    {
        let domain = change(room, spec.uuid, spec.disks[at].id, choice).await;
        check(&domain, at, started, choice, "a disk without a write cache");
    }
}

pub(super) async fn another_word_for_the_same_mode_leaves_qemu_alone(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Silent).await;
    spec.disks[0].cache = None.into();
    room.paused(&spec).await;
    for choice in [Auto, None, Auto] {
        let domain = change(room, spec.uuid, spec.disks[0].id, choice).await;
        check(&domain, 0, CacheMode::None, choice, "a disk with another word");
        assert_eq!(domain.taints, Vec::<String>::new());
    }
}

pub(super) async fn a_file_system_is_asked_before_qemu_is(room: &Room) {
    let base = room.path_without_direct_io("base");
    room.fixture.guest(&base, GuestKind::Silent).await;
    let path = room.path("overlay.qcow2");
    let backing = Some(Backing { path: base.clone(), format: Format::Raw });
    let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: Option::None, backing };
    done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
    let mut spec = room.with_root("vm", path, Auto);
    spec.disks[0].format = Format::Qcow2;
    let before = room.paused(&spec).await;
    let error = refuses(room, &before, &[(spec.disks[0].id, None)], Kind::DirectIo).await;
    names(&error, &base);
    // What does not need it works, and `auto` is what it was.
    for (choice, mode) in [(Unsafe, CacheMode::Unsafe), (Auto, CacheMode::Writeback)] {
        let domain = change(room, spec.uuid, spec.disks[0].id, choice).await;
        check_choice(&domain.disks[0].cache, choice, mode, true, "an overlay");
    }
}

pub(super) async fn overlays_change_with_all_that_is_under_them(room: &Room) {
    let base = room.path("base");
    room.fixture.guest(&base, GuestKind::Answering).await;
    let mut spec = room.with_guest("vm", GuestKind::Silent).await;
    spec.disks.clear();
    for number in 0..2 {
        let path = room.path(&format!("{number}.qcow2"));
        overlay(room, &path, &base).await;
        let mut disk = room.disk(path, Format::Qcow2, None);
        disk.format = Format::Qcow2;
        spec.disks.push(disk);
    }
    room.booted(&spec).await;
    let path = room.path("hot.qcow2");
    overlay(room, &path, &base).await;
    let hot = room.disk(path, Format::Qcow2, None);
    done(room.hypervisor.attach_disk(spec.uuid, &hot, Attempt::First).await, "attaching an overlay");
    for choice in [Writeback, None, Unsafe, None] {
        let ids = [spec.disks[0].id, hot.id];
        let asked = ids.map(|id| (id, CacheRequest::from(choice).accepting_loss()));
        let changed = room.hypervisor.change_cache(spec.uuid, &asked, Attempt::First).await;
        let domain = done(changed, "changing two overlays");
        check(&domain, 0, CacheMode::None, choice, "an overlay");
        check(&domain, 1, CacheMode::None, None, "an overlay beside it");
        check(&domain, 2, CacheMode::None, choice, "an overlay that was attached");
    }
}

async fn overlay(room: &Room, path: &Path, base: &Path) {
    let backing = Some(Backing { path: base.to_owned(), format: Format::Raw });
    let spec = VolumeSpec { path: path.to_owned(), format: Format::Qcow2, size_bytes: Option::None, backing };
    done(room.hypervisor.create_volume(&spec, Attempt::First).await, "making an overlay");
}

pub(super) async fn what_is_off_or_not_there_is_not_changed(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    let before = room.define(&spec).await;
    assert_eq!(before.disks[0].live, Vec::<CacheMode>::new());
    refuses(room, &before, &[(spec.disks[0].id, None)], Kind::Conflict).await;
    let before = room.act(spec.uuid, START).await;
    assert_eq!(before.state, State::Running);
    let gone = DiskId(room.uuid());
    let error = refuses(room, &before, &[(spec.disks[0].id, None), (gone, None)], Kind::NotFound).await;
    assert_eq!(error, Error::NoDisk { name: spec.name.clone(), disk: gone });
    let unknown = room.hypervisor.change_cache(room.uuid(), &[], Attempt::First).await;
    refused(unknown, Kind::NotFound, "changing what is not there");
}
