//! Volumes: made, grown, removed.

use std::path::Path;

use super::MISSING_FOLDER;
use super::room::{MIB, Room, START, START_PAUSED, done, names, refused};
use crate::error::Kind;
use crate::interface::Attempt;
use crate::simulated::{GuestKind, Outside};
use crate::spec::{CacheMode, Format};
use crate::storage::{Backing, Volume, VolumeSpec};

fn raw(path: &Path, size_bytes: u64) -> VolumeSpec {
    VolumeSpec { path: path.to_owned(), format: Format::Raw, size_bytes: Some(size_bytes), backing: None }
}

fn overlay(path: &Path, base: &Path, size_bytes: Option<u64>) -> VolumeSpec {
    let backing = Some(Backing { path: base.to_owned(), format: Format::Raw });
    VolumeSpec { path: path.to_owned(), format: Format::Qcow2, size_bytes, backing }
}

async fn make(room: &Room, spec: &VolumeSpec) -> Volume {
    done(room.hypervisor.create_volume(spec, Attempt::First).await, "making a volume")
}

async fn size(room: &Room, path: &Path, format: Format) -> u64 {
    done(room.hypervisor.volume(path, format).await, "looking at a volume").size_bytes
}

pub(super) async fn a_volume_is_made_as_asked(room: &Room) {
    for format in Format::ALL.iter().copied() {
        for folder in [room.path("a"), room.path_without_direct_io("a")] {
            let path = folder.with_extension(format.as_str());
            let volume = make(room, &VolumeSpec { format, ..raw(&path, 3 * MIB) }).await;
            assert_eq!((&volume.path, volume.format, volume.size_bytes), (&path, format, 3 * MIB));
            assert_eq!(volume.backing, None);
            let shown = done(room.hypervisor.volume(&path, format).await, "looking at a volume");
            assert_eq!((shown.format, shown.size_bytes, shown.backing), (format, 3 * MIB, None));
        }
    }
    let missing = room.path("missing");
    names(
        &refused(room.hypervisor.volume(&missing, Format::Raw).await, Kind::NotFound, "looking at no volume"),
        &missing,
    );
}

pub(super) async fn an_overlay_is_as_big_as_what_it_lies_on(room: &Room) {
    let base = room.path("base");
    make(room, &raw(&base, 2 * MIB)).await;
    for (file, asked, got) in [("same", None, 2 * MIB), ("bigger", Some(5 * MIB), 5 * MIB)] {
        let path = room.path(file);
        let volume = make(room, &overlay(&path, &base, asked)).await;
        assert_eq!((volume.format, volume.size_bytes), (Format::Qcow2, got));
        assert_eq!(volume.backing.as_deref(), Some(base.as_path()));
        let shown = done(room.hypervisor.volume(&path, Format::Qcow2).await, "looking at an overlay");
        assert_eq!((shown.size_bytes, shown.backing.as_deref()), (got, Some(base.as_path())));
    }
    let path = room.path("smaller");
    let smaller = room.hypervisor.create_volume(&overlay(&path, &base, Some(MIB)), Attempt::First).await;
    refused(smaller, Kind::Invalid, "making an overlay that is smaller than its base");
    refused(
        room.hypervisor.volume(&path, Format::Qcow2).await,
        Kind::NotFound,
        "looking at the refused overlay",
    );
    assert_eq!(size(room, &base, Format::Raw).await, 2 * MIB);
}

pub(super) async fn an_overlay_boots_what_it_lies_on(room: &Room) {
    let (base, path) = (room.path("base"), room.path("overlay"));
    room.fixture.guest(&base, GuestKind::Answering).await;
    make(room, &overlay(&path, &base, Some(8 * MIB))).await;
    let mut spec = room.with_root("vm", path, CacheMode::None);
    spec.disks[0].format = Format::Qcow2;
    room.booted(&spec).await;
}

pub(super) async fn a_volume_is_made_once(room: &Room) {
    let path = room.path("a");
    make(room, &raw(&path, MIB)).await;
    for spec in [raw(&path, MIB), raw(&path, 2 * MIB)] {
        let twice = room.hypervisor.create_volume(&spec, Attempt::First).await;
        names(&refused(twice, Kind::Exists, "making a volume twice"), &path);
    }
    assert_eq!(size(room, &path, Format::Raw).await, MIB, "the refused volume changed the first");
    let again = room.hypervisor.create_volume(&raw(&path, MIB), Attempt::Again).await;
    assert_eq!(done(again, "a later attempt, of which the first made it").size_bytes, MIB);
    let other = room.path("b");
    let again = room.hypervisor.create_volume(&raw(&other, MIB), Attempt::Again).await;
    assert_eq!(done(again, "a later attempt, of which the first got nowhere").size_bytes, MIB);
}

pub(super) async fn bad_volumes_are_refused(room: &Room) {
    let path = room.path("bad");
    let base = room.path("base");
    make(room, &raw(&base, MIB)).await;
    let bad = [
        ("of no bytes", raw(&path, 0)),
        ("of half a sector", raw(&path, MIB + 256)),
        ("of more bytes than a file can have", raw(&path, !511)),
        ("without a size", VolumeSpec { size_bytes: None, ..raw(&path, 0) }),
        ("raw, and on another", VolumeSpec { format: Format::Raw, ..overlay(&path, &base, None) }),
        ("on itself", overlay(&path, &path, None)),
        ("at a relative path", raw(Path::new("relative"), MIB)),
        ("on a relative path", overlay(&path, Path::new("relative"), None)),
    ];
    for (what, spec) in bad {
        let made = room.hypervisor.create_volume(&spec, Attempt::First).await;
        refused(made, Kind::Invalid, &format!("making a volume {what}"));
        refused(
            room.hypervisor.volume(&path, Format::Qcow2).await,
            Kind::NotFound,
            "looking at the refused volume",
        );
    }
    let nowhere = room.fixture.folder().join(MISSING_FOLDER).join("volume");
    let made = room.hypervisor.create_volume(&raw(&nowhere, MIB), Attempt::First).await;
    names(&refused(made, Kind::Invalid, "making a volume in a missing folder"), &nowhere);
    let missing = room.path("missing");
    let made = room.hypervisor.create_volume(&overlay(&path, &missing, None), Attempt::First).await;
    names(&refused(made, Kind::NotFound, "making a volume on a missing one"), &missing);
    refused(
        room.hypervisor.volume(&path, Format::Qcow2).await,
        Kind::NotFound,
        "looking at the refused volume",
    );
}

pub(super) async fn a_volume_grows_and_never_shrinks(room: &Room) {
    for format in Format::ALL.iter().copied() {
        let path = room.path(format.as_str());
        make(room, &VolumeSpec { format, ..raw(&path, 2 * MIB) }).await;
        for attempt in [Attempt::First, Attempt::Again] {
            let grown = room.hypervisor.resize_volume(&path, format, 4 * MIB, attempt).await;
            assert_eq!(done(grown, "growing a volume").size_bytes, 4 * MIB);
        }
        for attempt in [Attempt::First, Attempt::Again] {
            let shrunk = room.hypervisor.resize_volume(&path, format, 2 * MIB, attempt).await;
            names(&refused(shrunk, Kind::Invalid, "shrinking a volume"), &path);
        }
        for bad in [0, 4 * MIB + 1, !511] {
            let grown = room.hypervisor.resize_volume(&path, format, bad, Attempt::First).await;
            refused(grown, Kind::Invalid, &format!("giving a volume {bad} bytes"));
        }
        assert_eq!(size(room, &path, format).await, 4 * MIB);
    }
    let missing = room.path("missing");
    for attempt in [Attempt::First, Attempt::Again] {
        let grown = room.hypervisor.resize_volume(&missing, Format::Raw, MIB, attempt).await;
        names(&refused(grown, Kind::NotFound, "growing a missing volume"), &missing);
    }
}

pub(super) async fn a_volume_grows_while_a_domain_runs_on_it(room: &Room) {
    for (file, format, mode) in
        [("a", Format::Qcow2, CacheMode::None), ("b", Format::Raw, CacheMode::Writeback)]
    {
        let path = room.path(file);
        make(room, &VolumeSpec { format, ..raw(&path, MIB) }).await;
        let mut spec = room.with_guest(&format!("vm-{file}"), GuestKind::Answering).await;
        spec.disks.push(room.disk(path.clone(), format, mode));
        room.define(&spec).await;
        room.act(spec.uuid, START).await;
        for attempt in [Attempt::First, Attempt::Again] {
            let grown = room.hypervisor.resize_volume(&path, format, 6 * MIB, attempt).await;
            assert_eq!(done(grown, "growing under a running domain").size_bytes, 6 * MIB);
            assert_eq!(size(room, &path, format).await, 6 * MIB);
        }
        let shrunk = room.hypervisor.resize_volume(&path, format, MIB, Attempt::First).await;
        refused(shrunk, Kind::Invalid, "shrinking under a running domain");
        assert_eq!(room.domain(spec.uuid).await.taints, Vec::<String>::new());
    }
}

pub(super) async fn what_a_guest_writes_to_its_disk_is_not_believed(room: &Room) {
    let (path, over) = (room.path("forged"), room.path("over"));
    make(room, &raw(&path, 2 * MIB)).await;
    room.fixture.outside(Outside::Forge { volume: path.clone(), names: "/etc/shadow".into() }).await;
    let is_raw = |volume: &Volume, size_bytes| {
        assert_eq!((volume.format, volume.size_bytes, &volume.backing), (Format::Raw, size_bytes, &None));
    };
    is_raw(&done(room.hypervisor.volume(&path, Format::Raw).await, "looking at a forged disk"), 2 * MIB);
    let again = room.hypervisor.create_volume(&raw(&path, 2 * MIB), Attempt::Again).await;
    is_raw(&done(again, "making it in a later attempt"), 2 * MIB);
    let grown = room.hypervisor.resize_volume(&path, Format::Raw, 4 * MIB, Attempt::First).await;
    is_raw(&done(grown, "growing it"), 4 * MIB);
    let made = make(room, &overlay(&over, &path, None)).await;
    assert_eq!((made.size_bytes, made.backing.as_deref()), (4 * MIB, Some(path.as_path())));
    // As an image, it would be what it seems to be for every guest that lies on it.
    let imported = room.hypervisor.import_image(&path, &room.path("image"), Attempt::First).await;
    let refusal = refused(imported, Kind::Invalid, "importing it");
    names(&refusal, &path);
    names(&refusal, Path::new("/etc/shadow"));
    done(room.hypervisor.delete_volume(&over, Attempt::First).await, "deleting what lies on it");
    let spec = room.with_root("vm", path.clone(), CacheMode::Writeback);
    room.paused(&spec).await;
    let grown = room.hypervisor.resize_volume(&path, Format::Raw, 5 * MIB, Attempt::First).await;
    is_raw(&done(grown, "growing it while a domain runs on it"), 5 * MIB);
}

pub(super) async fn a_deleted_volume_is_gone(room: &Room) {
    let path = room.path("a");
    for _ in 0..2 {
        make(room, &raw(&path, MIB)).await;
        done(room.hypervisor.delete_volume(&path, Attempt::First).await, "deleting a volume");
        refused(
            room.hypervisor.volume(&path, Format::Qcow2).await,
            Kind::NotFound,
            "looking at a deleted volume",
        );
    }
    let again = room.hypervisor.delete_volume(&path, Attempt::First).await;
    names(&refused(again, Kind::NotFound, "deleting a deleted volume"), &path);
    done(room.hypervisor.delete_volume(&path, Attempt::Again).await, "deleting in a later attempt");
}

pub(super) async fn a_volume_that_a_domain_has_is_not_deleted(room: &Room) {
    let (base, path) = (room.path("base"), room.path("overlay"));
    room.fixture.guest(&base, GuestKind::Answering).await;
    make(room, &overlay(&path, &base, None)).await;
    let mut spec = room.with_root("vm", path.clone(), CacheMode::Writeback);
    spec.disks[0].format = Format::Qcow2;
    room.define(&spec).await;
    for state in ["off", "on"] {
        if state == "on" {
            room.act(spec.uuid, START_PAUSED).await;
        }
        for (what, path, format) in [("has", &path, Format::Qcow2), ("lies on", &base, Format::Raw)] {
            for attempt in [Attempt::First, Attempt::Again] {
                let deleted = room.hypervisor.delete_volume(path, attempt).await;
                let error =
                    refused(deleted, Kind::Conflict, &format!("deleting what a domain {what} while {state}"));
                names(&error, path);
                assert!(error.to_string().contains(&spec.name), "the domain is not named: {error}");
                done(room.hypervisor.volume(path, format).await, "looking at what was not deleted");
            }
        }
    }
    done(
        room.hypervisor.act(spec.uuid, crate::lifecycle::Action::Destroy, Attempt::First).await,
        "destroying",
    );
    done(room.hypervisor.undefine(spec.uuid, Attempt::First).await, "undefining");
    let shown = room.hypervisor.volume(&path, Format::Qcow2).await;
    done(shown, "looking at the volume of an undefined domain");
    for path in [&path, &base] {
        done(
            room.hypervisor.delete_volume(path, Attempt::First).await,
            "deleting what no domain has any more",
        );
    }
}

pub(super) async fn what_lies_in_a_drive_is_not_deleted(room: &Room) {
    let spec = room.bare("vm");
    let media = room.media("iso").await;
    room.define(&spec).await;
    done(room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await, "inserting");
    let deleted = room.hypervisor.delete_volume(&media, Attempt::First).await;
    refused(deleted, Kind::Conflict, "deleting what lies in a drive");
    done(room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await, "ejecting");
    done(room.hypervisor.delete_volume(&media, Attempt::First).await, "deleting what was ejected");
}
