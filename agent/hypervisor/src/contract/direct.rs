//! A file system that refuses O_DIRECT: modes that need it are refused with the file and the mode, the others work.

use std::path::Path;

use super::room::{Room, START, START_PAUSED, check_cache, done, names};
use crate::error::Error;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{CacheMode, CdromDrive, Format, Media};
use crate::state::State;
use crate::storage::{Backing, VolumeSpec};

fn modes(direct: bool) -> impl Iterator<Item = CacheMode> {
    CacheMode::ALL.iter().copied().filter(move |mode| mode.is_direct() == direct)
}

/// Checks that something was refused for want of O_DIRECT.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, at: &Path, with: CacheMode, what: &str) {
    match result {
        Err(error @ Error::DirectIo { .. }) => {
            names(&error, at);
            let Error::DirectIo { path, mode, qemu } = error else { return };
            assert_eq!((path.as_path(), mode), (at, with), "{what}");
            assert!(qemu.contains("O_DIRECT"), "{what}: QEMU's sentence does not name O_DIRECT: {qemu}");
        }
        other => panic!("{what} with `{with}` was not refused for want of O_DIRECT but gave {other:?}"),
    }
}

/// Starts what cannot start, in both ways, and checks that it is off then.
async fn does_not_start(room: &Room, uuid: uuid::Uuid, at: &Path, mode: CacheMode, what: &str) {
    for action in [START, START_PAUSED] {
        refused(room.hypervisor.act(uuid, action, Attempt::First).await, at, mode, what);
        let domain = room.domain(uuid).await;
        assert_eq!(domain.state, State::Shutoff, "{what}: it did not start, and is not off");
        assert_eq!(domain.vnc_socket, None);
    }
}

pub(super) async fn a_root_disk_is_refused_and_the_way_out_works(room: &Room) {
    let path = room.path_without_direct_io("root");
    room.fixture.guest(&path, GuestKind::Answering).await;
    for mode in modes(true) {
        let spec = room.with_root(mode.as_str(), path.clone(), mode);
        room.define(&spec).await;
        does_not_start(room, spec.uuid, &path, mode, "starting from a root disk").await;
        // What the error advises.
        let mut spec = spec;
        spec.disks[0].cache = CacheMode::Writeback;
        done(room.hypervisor.define(&spec, Attempt::Again).await, "defining it with `writeback`");
        assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
        room.writes(spec.uuid, 0).await;
        room.act(spec.uuid, Action::Destroy).await;
    }
}

pub(super) async fn a_data_disk_is_refused(room: &Room) {
    let path = room.path_without_direct_io("data");
    room.blank(path.clone()).await;
    for mode in modes(true) {
        let mut spec = room.with_guest(mode.as_str(), GuestKind::Answering).await;
        spec.disks.push(room.disk(path.clone(), Format::Raw, mode));
        room.define(&spec).await;
        does_not_start(room, spec.uuid, &path, mode, "starting with a data disk").await;
    }
}

pub(super) async fn an_image_under_a_disk_is_refused(room: &Room) {
    let base = room.path_without_direct_io("base");
    room.fixture.guest(&base, GuestKind::Answering).await;
    let path = room.path("overlay.qcow2");
    let backing = Some(Backing { path: base.clone(), format: Format::Raw });
    let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
    done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
    for mode in CacheMode::ALL.iter().copied() {
        let mut spec = room.with_root(mode.as_str(), path.clone(), mode);
        spec.disks[0].format = Format::Qcow2;
        room.define(&spec).await;
        if mode.is_direct() {
            does_not_start(room, spec.uuid, &base, mode, "starting from an overlay").await;
        } else {
            check_cache(&room.act(spec.uuid, START_PAUSED).await.disks[0].cache, mode, true, "an overlay");
            room.act(spec.uuid, Action::Destroy).await;
        }
    }
}

pub(super) async fn attaching_is_refused_and_the_domain_runs_on(room: &Room) {
    let path = room.path_without_direct_io("data");
    room.blank(path.clone()).await;
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    for mode in modes(true) {
        let disk = room.disk(path.clone(), Format::Raw, mode);
        for attempt in [Attempt::First, Attempt::Again] {
            let attached = room.hypervisor.attach_disk(spec.uuid, &disk, attempt).await;
            refused(attached, &path, mode, "attaching");
            let domain = room.domain(spec.uuid).await;
            assert_eq!((domain.state, domain.disks.len()), (State::Running, 1), "after a refused attach");
        }
    }
    room.act(spec.uuid, Action::Destroy).await;
    let domain = room.act(spec.uuid, START_PAUSED).await;
    assert_eq!(domain.disks.len(), 1, "the refused disk came with the next start");
    let disk = room.disk(path, Format::Raw, CacheMode::Writeback);
    done(room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await, "attaching with `writeback`");
}

pub(super) async fn a_medium_is_refused(room: &Room) {
    let source = room.path_without_direct_io("iso");
    room.blank(source.clone()).await;
    for mode in modes(true) {
        let mut spec = room.bare(mode.as_str());
        spec.cdroms = vec![CdromDrive::with(Media { source: source.clone(), cache: mode })];
        room.define(&spec).await;
        does_not_start(room, spec.uuid, &source, mode, "starting with a medium").await;
    }
    for mode in modes(true) {
        let mut spec = room.bare(&format!("empty-{mode}"));
        spec.cdroms = vec![CdromDrive::empty(mode)];
        room.define(&spec).await;
        room.act(spec.uuid, START).await;
        let media = Media { source: source.clone(), cache: mode };
        let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
        refused(inserted, &source, mode, "inserting");
        let domain = room.domain(spec.uuid).await;
        assert_eq!(
            (domain.state, &domain.cdroms[0].media),
            (State::Running, &None),
            "after a refused medium"
        );
        room.act(spec.uuid, Action::Destroy).await;
        let media = Media { cache: CacheMode::Writeback, ..media };
        let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
        done(inserted, "inserting with `writeback` while it is off");
        room.act(spec.uuid, START).await;
    }
}

pub(super) async fn buffered_modes_work_and_leave_no_doubt(room: &Room) {
    let root = room.path_without_direct_io("root");
    room.fixture.guest(&root, GuestKind::Answering).await;
    let mut spec = room.with_root("vm", root, CacheMode::Writeback);
    let mut expected = vec![CacheMode::Writeback];
    for mode in modes(false) {
        let path = room.path_without_direct_io(mode.as_str());
        room.blank(path.clone()).await;
        spec.disks.push(room.disk(path, Format::Raw, mode));
        expected.push(mode);
    }
    let iso = room.path_without_direct_io("iso");
    room.blank(iso.clone()).await;
    spec.cdroms = vec![CdromDrive::with(Media { source: iso, cache: CacheMode::Writeback })];
    room.booted(&spec).await;
    for mode in modes(false) {
        let path = room.path_without_direct_io(&format!("{mode}.hot"));
        room.blank(path.clone()).await;
        let disk = room.disk(path, Format::Raw, mode);
        done(room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await, "attaching");
        expected.push(mode);
    }
    let domain = room.domain(spec.uuid).await;
    assert_eq!(domain.disks.len(), expected.len());
    for (disk, mode) in domain.disks.iter().zip(expected) {
        check_cache(&disk.cache, mode, true, &format!("`{}`", disk.target));
    }
    assert_eq!(domain.taints, Vec::<String>::new());
}

pub(super) async fn an_overlay_is_not_attached_for_what_is_under_it(room: &Room) {
    let (base, path) = (room.path_without_direct_io("base"), room.path("overlay.qcow2"));
    room.blank(base.clone()).await;
    let backing = Some(Backing { path: base.clone(), format: Format::Raw });
    let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
    done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.paused(&spec).await;
    for mode in modes(true) {
        let disk = room.disk(path.clone(), Format::Qcow2, mode);
        let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        refused(attached, &base, mode, "attaching an overlay");
    }
    let disk = room.disk(path, Format::Qcow2, CacheMode::Writeback);
    let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
    let domain = done(attached, "attaching an overlay with `writeback`");
    check_cache(&domain.disks[1].cache, CacheMode::Writeback, true, "an attached overlay");
}
