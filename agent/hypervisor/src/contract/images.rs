//! Importing images, and folders.

use super::MISSING_FOLDER;
use super::room::{MIB, Room, done, names, refused};
use crate::error::Kind;
use crate::interface::Attempt;
use crate::spec::Format;
use crate::storage::{Backing, VolumeSpec};

pub(super) async fn an_image_is_copied_and_hashed(room: &Room) {
    let image = room.fixture.image().await;
    let path = room.path("image");
    let imported = done(room.hypervisor.import_image(&image.path, &path, Attempt::First).await, "importing");
    assert_eq!(imported.sha256, image.sha256);
    let volume = &imported.volume;
    assert_eq!((&volume.path, volume.format, volume.size_bytes), (&path, image.format, image.size_bytes));
    assert_eq!(volume.backing, None);
    let shown = done(room.hypervisor.volume(&path, volume.format).await, "looking at an imported image");
    assert_eq!((shown.format, shown.size_bytes), (image.format, image.size_bytes));
    let second = room.path("second");
    let again =
        done(room.hypervisor.import_image(&path, &second, Attempt::First).await, "importing the copy");
    assert_eq!(again.sha256, image.sha256, "the copy is not the image");
    done(room.hypervisor.delete_volume(&path, Attempt::First).await, "deleting the copy");
    let third = room.path("third");
    done(room.hypervisor.import_image(&image.path, &third, Attempt::First).await, "importing once more");
}

pub(super) async fn an_image_is_imported_once(room: &Room) {
    let image = room.fixture.image().await;
    let path = room.path("image");
    let import = |attempt| room.hypervisor.import_image(&image.path, &path, attempt);
    done(import(Attempt::First).await, "importing");
    names(&refused(import(Attempt::First).await, Kind::Exists, "importing twice"), &path);
    let again = done(import(Attempt::Again).await, "importing in a later attempt");
    assert_eq!((again.sha256, again.volume.size_bytes), (image.sha256.clone(), image.size_bytes));
    let taken = room.path("taken");
    room.blank(taken.clone()).await;
    let over = room.hypervisor.import_image(&image.path, &taken, Attempt::First).await;
    refused(over, Kind::Exists, "importing over a volume");
    let volume = done(room.hypervisor.volume(&taken, Format::Raw).await, "looking at that volume");
    assert_eq!((volume.format, volume.size_bytes), (Format::Raw, MIB));
}

pub(super) async fn what_is_no_image_is_not_imported(room: &Room) {
    let path = room.path("image");
    let missing = room.path("missing");
    for attempt in [Attempt::First, Attempt::Again] {
        let imported = room.hypervisor.import_image(&missing, &path, attempt).await;
        names(&refused(imported, Kind::NotFound, "importing a missing file"), &missing);
    }
    let (base, overlay) = (room.path("base"), room.path("overlay"));
    room.blank(base.clone()).await;
    let backing = Some(Backing { path: base, format: Format::Raw });
    let spec = VolumeSpec { path: overlay.clone(), format: Format::Qcow2, size_bytes: None, backing };
    done(room.hypervisor.create_volume(&spec, Attempt::First).await, "making an overlay");
    let imported = room.hypervisor.import_image(&overlay, &path, Attempt::First).await;
    names(&refused(imported, Kind::Invalid, "importing an image that names another"), &overlay);
    let imported = room.hypervisor.import_image("image".as_ref(), &path, Attempt::First).await;
    refused(imported, Kind::Invalid, "importing a relative path");
    refused(
        room.hypervisor.volume(&path, Format::Raw).await,
        Kind::NotFound,
        "looking at what was not imported",
    );
}

pub(super) async fn a_folder_is_made_if_it_is_missing(room: &Room) {
    let path = room.path("folder");
    for _ in 0..2 {
        let folder = done(room.hypervisor.folder(&path).await, "asking for a folder");
        assert_eq!(folder.path, path);
        assert!(!folder.file_system.is_empty(), "the file system has no name");
        assert!(folder.available_bytes <= folder.capacity_bytes, "{folder:?}");
    }
    room.blank(path.join("volume")).await;
    done(
        room.hypervisor.folder(&room.fixture.folder_without_direct_io()).await,
        "asking for the other folder",
    );
    let deep = room.fixture.folder().join(MISSING_FOLDER).join("below");
    names(
        &refused(room.hypervisor.folder(&deep).await, Kind::Invalid, "asking for a folder in a missing one"),
        &deep,
    );
    refused(room.hypervisor.folder("relative".as_ref()).await, Kind::Invalid, "asking for a relative path");
    let file = room.path("file");
    room.blank(file.clone()).await;
    names(
        &refused(room.hypervisor.folder(&file).await, Kind::Invalid, "asking for a file as a folder"),
        &file,
    );
}
