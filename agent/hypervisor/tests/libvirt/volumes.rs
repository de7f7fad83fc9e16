//! Volumes as files of the room: what is on the disk afterwards, also when something went wrong.

use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use agent_hypervisor::spec::{CacheMode, Format};
use agent_hypervisor::storage::{Backing, VolumeSpec};
use agent_hypervisor::{Attempt, Error, Kind, Storage};
use xtask_testbed::Mount;
use xtask_testbed::guest::Kind as GuestKind;
use xtask_testbed::libvirt::Inside;

use super::room::{self, DIRECT, disk, guest, spec, start, virsh};

const MIB: u64 = 1 << 20;

fn blank(path: &str, format: Format, size_bytes: u64) -> VolumeSpec {
    VolumeSpec { path: path.into(), format, size_bytes: Some(size_bytes), backing: None }
}

/// Names in a folder, sorted.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn qemu_img(words: &[&str]) -> String {
    let output = Command::new("qemu-img").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn qemu_img_finds_what_was_made() {
    room::run("qemu_img_finds_what_was_made", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let base = format!("{DIRECT}/base 'of' a,b:c.raw");
        libvirt.create_volume(&blank(&base, Format::Raw, 3 * MIB), Attempt::First).await.unwrap();
        let overlay = VolumeSpec {
            path: format!("{DIRECT}/-o verlay.qcow2").into(),
            format: Format::Qcow2,
            size_bytes: None,
            backing: Some(Backing { path: base.clone().into(), format: Format::Raw }),
        };
        let made = libvirt.create_volume(&overlay, Attempt::First).await.unwrap();
        assert_eq!((made.size_bytes, made.backing.as_deref()), (3 * MIB, Some(Path::new(&base))));
        let told = qemu_img(&["info", "--output=json", overlay.path.to_str().unwrap()]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["virtual-size"], 3 * MIB);
        assert_eq!(
            (&told["backing-filename"], &told["backing-filename-format"]),
            (&base.into(), &"raw".into())
        );

        let bigger =
            libvirt.resize_volume(&overlay.path, Format::Qcow2, 5 * MIB, Attempt::First).await.unwrap();
        assert_eq!(bigger.size_bytes, 5 * MIB);
        assert!(qemu_img(&["check", overlay.path.to_str().unwrap()]).contains("No errors"));
        libvirt.delete_volume(&overlay.path, Attempt::First).await.unwrap();
        assert_eq!(names(DIRECT), ["base 'of' a,b:c.raw"]);
    });
}

#[test]
fn a_running_guest_gets_a_bigger_disk() {
    room::run("a_running_guest_gets_a_bigger_disk", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let path = guest(DIRECT, "vm", GuestKind::Answering);
        start(&libvirt, &spec("vm", disk(&path, CacheMode::None))).await.unwrap();
        libvirt.resize_volume(&path, Format::Raw, 8 * MIB, Attempt::First).await.unwrap();
        assert!(
            virsh(["domblkinfo", "vm", "vda"]).contains("8388608"),
            "{}",
            virsh(["domblkinfo", "vm", "vda"])
        );
        let error = libvirt.delete_volume(&path, Attempt::First).await.unwrap_err();
        assert!(matches!(&error, Error::InUse { name, .. } if name == "vm"), "{error}");
        assert!(path.exists());
    });
}

#[test]
fn a_full_file_system_loses_nothing() {
    let small = Mount::tmpfs("/srv/small").size_bytes(MIB);
    let options = Inside { mounts: vec![small], ..Inside::default() };
    room::run("a_full_file_system_loses_nothing", &options, async || {
        let libvirt = room::libvirt();
        let source = format!("{DIRECT}/image.raw");
        std::fs::write(&source, vec![7; 4 << 20]).unwrap();
        let error =
            libvirt.import_image(Path::new(&source), Path::new("/srv/small/image.raw"), Attempt::First);
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), Kind::NoSpace, "{error}");
        assert!(error.to_string().contains("free some, or choose another storage"), "{error}");
        assert_eq!(names("/srv/small"), [] as [&str; 0]);
        std::fs::write("/srv/small/full", vec![7; 1 << 20]).unwrap();
        let volume = blank("/srv/small/a.qcow2", Format::Qcow2, MIB);
        let error = libvirt.create_volume(&volume, Attempt::First).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NoSpace, "{error}");
        assert_eq!(names("/srv/small"), ["full"]);
        let folder = libvirt.folder(Path::new("/srv/small")).await.unwrap();
        let told = (folder.file_system.as_str(), folder.capacity_bytes, folder.available_bytes);
        assert_eq!(told, ("tmpfs", MIB, 0));
        assert_eq!(libvirt.folder(Path::new(DIRECT)).await.unwrap().path, Path::new(DIRECT));
    });
}

#[test]
fn what_is_there_is_not_overwritten_and_what_was_cut_short_is_cleared() {
    let name = "what_is_there_is_not_overwritten_and_what_was_cut_short_is_cleared";
    room::run(name, &Inside::default(), async || {
        let libvirt = room::libvirt();
        let path = format!("{DIRECT}/a.raw");
        symlink("/nowhere", &path).unwrap();
        let volume = blank(&path, Format::Raw, MIB);
        for attempt in [Attempt::First, Attempt::Again] {
            assert!(libvirt.create_volume(&volume, attempt).await.is_err());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(format!("{DIRECT}/.a.raw.partial"), "cut short").unwrap();
        libvirt.create_volume(&volume, Attempt::Again).await.unwrap();
        assert_eq!(names(DIRECT), ["a.raw"]);
        // Done before, then: once more is no more.
        libvirt.create_volume(&volume, Attempt::Again).await.unwrap();
        assert_eq!(libvirt.create_volume(&volume, Attempt::First).await.unwrap_err().kind(), Kind::Exists);
        let other = blank(&path, Format::Raw, 2 * MIB);
        assert_eq!(libvirt.create_volume(&other, Attempt::Again).await.unwrap_err().kind(), Kind::Exists);
        let nowhere = blank("/srv/missing/a.raw", Format::Raw, MIB);
        assert_eq!(libvirt.create_volume(&nowhere, Attempt::First).await.unwrap_err().kind(), Kind::Invalid);
    });
}

#[test]
fn an_image_that_names_other_files_is_refused() {
    room::run("an_image_that_names_other_files_is_refused", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let (source, target) = (format!("{DIRECT}/image"), format!("{DIRECT}/imported"));
        let import =
            async || libvirt.import_image(Path::new(&source), Path::new(&target), Attempt::First).await;
        let refused = async || {
            let error = import().await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            assert!(error.to_string().contains("names another file, `"), "{error}");
            assert!(!Path::new(&target).exists());
        };
        qemu_img(&["create", "-q", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", &source, "1M"]);
        refused().await;
        let data = format!("data_file={DIRECT}/sectors,data_file_raw=on");
        qemu_img(&["create", "-q", "-f", "qcow2", "-o", &data, &source, "1M"]);
        refused().await;
        qemu_img(&["create", "-q", "-f", "vmdk", &source, "1M"]);
        assert_eq!(import().await.unwrap_err().kind(), Kind::Unsupported);
        qemu_img(&["create", "-q", "-f", "qcow2", &source, "1M"]);
        let image = import().await.unwrap();
        let sum = Command::new("sha256sum").arg(&source).output().unwrap().stdout;
        assert!(String::from_utf8(sum).unwrap().starts_with(&image.sha256), "{}", image.sha256);
        assert_eq!(std::fs::read(&source).unwrap(), std::fs::read(&target).unwrap());
        assert_eq!((image.volume.format, image.volume.size_bytes), (Format::Qcow2, MIB));
    });
}

#[test]
fn what_is_a_hole_in_an_image_takes_no_room() {
    room::run("what_is_a_hole_in_an_image_takes_no_room", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let (source, target) = (format!("{DIRECT}/image.raw"), format!("{DIRECT}/imported.raw"));
        // A hole, data, a hole, data that ends in the middle of a block, a hole.
        let file = std::fs::File::create(&source).unwrap();
        file.write_all_at(&[7; 65536], 20 * MIB).unwrap();
        file.write_all_at(&[8; 1000], 40 * MIB).unwrap();
        file.set_len(64 * MIB).unwrap();
        let image =
            libvirt.import_image(Path::new(&source), Path::new(&target), Attempt::First).await.unwrap();
        assert_eq!((image.volume.format, image.volume.size_bytes), (Format::Raw, 64 * MIB));
        assert!(image.volume.allocated_bytes < MIB, "{}", image.volume.allocated_bytes);
        assert!(std::fs::read(&source).unwrap() == std::fs::read(&target).unwrap(), "the copy is another");
        // Nothing but a hole.
        file.set_len(0).unwrap();
        file.set_len(MIB).unwrap();
        std::fs::remove_file(&target).unwrap();
        let image =
            libvirt.import_image(Path::new(&source), Path::new(&target), Attempt::First).await.unwrap();
        assert_eq!((image.volume.size_bytes, image.volume.allocated_bytes), (MIB, 0));
        assert_eq!(std::fs::read(&target).unwrap(), vec![0; MIB as usize]);
    });
}

#[test]
fn what_any_domain_will_need_is_not_deleted() {
    room::run("what_any_domain_will_need_is_not_deleted", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", GuestKind::Silent), CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        // Only from its next start on.
        let next = guest(DIRECT, "next", GuestKind::Silent);
        virsh(["attach-disk", "vm", next.to_str().unwrap(), "vdb", "--config"]);
        // Only until then, and under another name.
        let lent = guest(DIRECT, "lent", GuestKind::Silent);
        virsh(["attach-disk", "vm", lent.to_str().unwrap(), "vdc", "--live"]);
        symlink(DIRECT, "/srv/link").unwrap();
        // Somebody else's, and what that lies on.
        let base = guest(DIRECT, "base", GuestKind::Silent);
        let top = format!("{DIRECT}/top.qcow2");
        qemu_img(&["create", "-q", "-f", "qcow2", "-b", base.to_str().unwrap(), "-F", "raw", &top]);
        let xml = format!(
            "<domain type='qemu'><name>theirs</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os>\
             <devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='{top}'/><target dev='vda' bus='virtio'/>\
             </disk></devices></domain>"
        );
        std::fs::write("/root/theirs.xml", xml).unwrap();
        virsh(["define", "/root/theirs.xml"]);
        for (path, user) in [
            (next.to_str().unwrap(), "vm"),
            (lent.to_str().unwrap(), "vm"),
            ("/srv/link/lent.raw", "vm"),
            ("/srv/link/vm.raw", "vm"),
            (top.as_str(), "theirs"),
            (base.to_str().unwrap(), "theirs"),
            ("/srv/link/base.raw", "theirs"),
        ] {
            let error = libvirt.delete_volume(path.as_ref(), Attempt::First).await.unwrap_err();
            let Error::InUse { name, .. } = &error else { panic!("{path}: {error}") };
            assert_eq!(name, user, "{path}");
            assert!(Path::new(path).exists());
        }
        virsh(["undefine", "theirs"]);
        libvirt.delete_volume(top.as_ref(), Attempt::First).await.unwrap();
        libvirt.delete_volume(&base, Attempt::First).await.unwrap();
    });
}
