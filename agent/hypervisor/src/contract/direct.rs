//! A file system that refuses O_DIRECT: modes that need it are refused with the file and the mode, the others work.

use std::path::Path;

use super::room::{Room, START, START_PAUSED, check_cache, check_choice, done, names};
use crate::cache::CachePlan;
use crate::error::{Error, Kind};
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{CacheChoice, CacheMode, CdromDrive, Format};
use crate::state::State;
use crate::storage::{Backing, VolumeSpec};

fn modes(direct: bool) -> impl Iterator<Item = CacheMode> {
    CacheMode::ALL.iter().copied().filter(move |mode| mode.is_direct() == direct)
}

/// Checks that QEMU refused something for want of O_DIRECT.
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

/// Checks that something was refused before QEMU was asked: with the file, its file system, and ways out.
#[track_caller]
fn refused_early<T: std::fmt::Debug>(
    room: &Room,
    result: Result<T, Error>,
    at: &Path,
    with: CacheMode,
    what: &str,
) {
    let sentence = result.as_ref().map_or_else(ToString::to_string, |_| String::new());
    match result {
        Err(Error::RefusesDirectIo { path, top: _, mode, mount, file_system, refusal, remedy }) => {
            assert_eq!((path.as_path(), mode), (at, with), "{what}");
            assert_eq!(mount, room.fixture.folder_without_direct_io(), "{what}");
            for part in [at.to_str().unwrap_or_default(), with.as_str(), &file_system, &refusal, remedy] {
                assert!(!part.is_empty() && sentence.contains(part), "{what}: no `{part}` in {sentence}");
            }
            assert!(remedy.contains("`auto` or `writeback`"), "{what}: {remedy}");
        }
        other => panic!("{what} with `{with}` was not refused before QEMU was asked but gave {other:?}"),
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
        let mut spec = room.with_root(mode.as_str(), path.clone(), mode);
        for attempt in [Attempt::First, Attempt::Again] {
            let defined = room.hypervisor.define(&spec, attempt).await;
            refused_early(room, defined, &path, mode, "defining it with a root disk");
            let found = room.hypervisor.domain(spec.uuid).await;
            super::room::refused(found, Kind::NotFound, "looking at what was not defined");
        }
        // What the error advises.
        for choice in [CacheChoice::Auto, CacheChoice::Writeback] {
            spec.disks[0].cache = choice.into();
            let defined = done(room.hypervisor.define(&spec, Attempt::Again).await, "defining it as advised");
            check_choice(&defined.disks[0].cache, choice, CacheMode::Writeback, false, "a root disk");
            let written = room.console_size(spec.uuid).await;
            assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
            room.writes(spec.uuid, written).await;
            room.act(spec.uuid, Action::Destroy).await;
        }
    }
}

pub(super) async fn a_data_disk_is_refused(room: &Room) {
    let path = room.path_without_direct_io("data");
    room.blank(path.clone()).await;
    for mode in modes(true) {
        let mut spec = room.with_guest(mode.as_str(), GuestKind::Answering).await;
        spec.disks.push(room.disk(path.clone(), Format::Raw, mode));
        let defined = room.hypervisor.define(&spec, Attempt::First).await;
        refused_early(room, defined, &path, mode, "defining it with a data disk");
    }
}

pub(super) async fn a_plan_is_refused_and_nothing_changes(room: &Room) {
    let path = room.path_without_direct_io("data");
    room.blank(path.clone()).await;
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.disks.push(room.disk(path.clone(), Format::Raw, CacheMode::Unsafe));
    room.define(&spec).await;
    for action in [Action::Destroy, START_PAUSED] {
        let before =
            done(room.hypervisor.act(spec.uuid, action, Attempt::Again).await, "turning it off or on");
        for mode in modes(true) {
            // Of the first disk it could be done.
            let wanted = spec.disks.iter().map(|disk| (disk.id, mode.into()));
            let plan = CachePlan { disks: wanted.collect(), cdroms: CacheChoice::Unsafe.into() };
            for attempt in [Attempt::First, Attempt::Again] {
                let settled = room.hypervisor.settle_cache(spec.uuid, &plan, attempt).await;
                refused_early(room, settled, &path, mode, "settling");
                assert_eq!(room.domain(spec.uuid).await, before, "after a refused plan");
            }
        }
    }
    room.act(spec.uuid, Action::Destroy).await;
    let domain = room.act(spec.uuid, START_PAUSED).await;
    check_cache(&domain.disks[0].cache, CacheMode::Writeback, true, "after a refused plan");
    assert_eq!(domain.cdroms[0].cache, CacheMode::Writeback, "after a refused plan");
}

pub(super) async fn an_image_under_a_disk_is_refused(room: &Room) {
    let base = room.path_without_direct_io("base");
    room.fixture.guest(&base, GuestKind::Answering).await;
    let path = room.path("overlay.qcow2");
    let backing = Some(Backing { path: base.clone(), format: Format::Raw });
    let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
    done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
    let mut choices: Vec<CacheChoice> = CacheMode::ALL.iter().map(|mode| (*mode).into()).collect();
    choices.push(CacheChoice::Auto);
    for choice in choices {
        let mut spec = room.with_root(choice.as_str(), path.clone(), choice);
        spec.disks[0].format = Format::Qcow2;
        let mode = choice.as_str().parse().unwrap_or(CacheMode::Writeback);
        let defined = room.hypervisor.define(&spec, Attempt::First).await;
        if mode.is_direct() {
            if let Err(error) = &defined {
                names(error, &path);
            }
            refused_early(room, defined, &base, mode, "defining it with an overlay");
            continue;
        }
        done(defined, "defining it with an overlay");
        let cache = room.act(spec.uuid, START_PAUSED).await.disks.remove(0).cache;
        check_choice(&cache, choice, mode, true, "an overlay");
        let named = cache.reason.contains(&*base.to_string_lossy());
        assert_eq!(
            named,
            choice == CacheChoice::Auto,
            "whether the image under it is named: {}",
            cache.reason
        );
        room.act(spec.uuid, Action::Destroy).await;
    }
}

pub(super) async fn what_qemu_refuses_is_told_in_its_words(room: &Room) {
    let (base, path) = (room.path_without_direct_io("base"), room.path("overlay.qcow2"));
    room.fixture.guest(&base, GuestKind::Answering).await;
    let backing = Some(Backing { path: base.clone(), format: Format::Raw });
    let overlay = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
    done(room.hypervisor.create_volume(&overlay, Attempt::First).await, "making an overlay");
    // While it is decided about, the image under the disk is away.
    done(room.hypervisor.delete_volume(&base, Attempt::First).await, "deleting the image under an overlay");
    let mut defined = Vec::new();
    for mode in modes(true) {
        let mut spec = room.with_root(mode.as_str(), path.clone(), mode);
        spec.disks[0].format = Format::Qcow2;
        room.define(&spec).await;
        defined.push((spec.uuid, mode));
    }
    room.fixture.guest(&base, GuestKind::Answering).await;
    for (uuid, mode) in defined {
        does_not_start(room, uuid, &base, mode, "starting from an overlay").await;
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
            refused_early(room, attached, &path, mode, "attaching");
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
        spec.cdroms = vec![CdromDrive::with(mode, source.clone())];
        let defined = room.hypervisor.define(&spec, Attempt::First).await;
        refused_early(room, defined, &source, mode, "defining it with a medium");
    }
    for mode in modes(true) {
        let mut spec = room.bare(&format!("empty-{mode}"));
        spec.cdroms = vec![CdromDrive::empty(mode)];
        room.define(&spec).await;
        for action in [Action::Destroy, START] {
            let on =
                done(room.hypervisor.act(spec.uuid, action, Attempt::Again).await, "turning it off or on");
            let inserted = room.hypervisor.insert_media(spec.uuid, 0, &source, Attempt::First).await;
            refused_early(room, inserted, &source, mode, "inserting");
            assert_eq!(room.domain(spec.uuid).await, on, "after a refused medium");
        }
        // What the error advises: it counts from the next start on.
        let plan = CachePlan { disks: Vec::new(), cdroms: CacheChoice::Auto.into() };
        assert_eq!(room.settle(spec.uuid, &plan).await.cdroms[0].cache, mode);
        room.act(spec.uuid, Action::Destroy).await;
        room.act(spec.uuid, START).await;
        let inserted = room.hypervisor.insert_media(spec.uuid, 0, &source, Attempt::First).await;
        let media = done(inserted, "inserting with `auto`").cdroms.remove(0).media;
        let cache = media.map(|media| media.cache);
        let Some(cache) = cache else { panic!("nothing lies in the drive") };
        check_choice(&cache, CacheChoice::Auto, CacheMode::Writeback, true, "an inserted medium");
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
    spec.cdroms = vec![CdromDrive::with(CacheChoice::Writeback, iso)];
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
        refused_early(room, attached, &base, mode, "attaching an overlay");
    }
    let disk = room.disk(path, Format::Qcow2, CacheMode::Writeback);
    let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
    let domain = done(attached, "attaching an overlay with `writeback`");
    check_cache(&domain.disks[1].cache, CacheMode::Writeback, true, "an attached overlay");
}
