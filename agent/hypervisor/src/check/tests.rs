//! What is refused, and in which words.

use std::path::PathBuf;

use uuid::Uuid;

use super::*;
use crate::spec::{AccelChoice, CacheChoice, CdromDrive, DiskId, Firmware, Guest, InterfaceModel};
use crate::storage::Backing;

fn disk(number: u128) -> Disk {
    Disk {
        id: DiskId(Uuid::from_u128(number)),
        source: format!("/volumes/{number}.qcow2").into(),
        format: Format::Qcow2,
        bus: DiskBus::Virtio,
        cache: CacheChoice::Writeback.into(),
        sector: Sector::Fixed(None),
    }
}

fn card(last: u8) -> Interface {
    let mac = Mac([0x52, 0x54, 0, 0, 0, last]);
    Interface { mac, bridge: "br0".to_owned(), model: InterfaceModel::Virtio }
}

fn drive(source: &str) -> CdromDrive {
    CdromDrive { cache: CacheChoice::None.into(), media: Some(source.into()) }
}

fn spec() -> DomainSpec {
    DomainSpec {
        uuid: Uuid::from_u128(1),
        name: "web-1".to_owned(),
        memory_bytes: MIB,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Auto,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![disk(1), disk(2)],
        cdroms: vec![
            drive("/images/a.iso"),
            drive("/images/a.iso"),
            CdromDrive::empty(CacheChoice::Writeback),
        ],
        interfaces: vec![card(1), card(2)],
    }
}

/// What is said of the domain after a change.
fn said(change: impl FnOnce(&mut DomainSpec)) -> String {
    let mut spec = spec();
    change(&mut spec);
    check(&spec).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
}

#[test]
fn what_makes_a_domain_passes() {
    assert_eq!(said(|_| {}), "fine");
    assert_eq!(said(|spec| (spec.vcpus, spec.memory_bytes) = (255, 1024 * 1024 * MIB)), "fine");
    assert_eq!(said(|spec| spec.boot = vec![BootDevice::Network, BootDevice::Hd, BootDevice::Cdrom]), "fine");
    assert_eq!(said(|spec| spec.name = format!("9{}", "._-aZ".repeat(12))), "fine");
    assert_eq!(said(|spec| spec.disks[0].source = "/v/a&b <c>'s \"d\".qcow2".into()), "fine");
    assert_eq!(said(|spec| spec.interfaces[0].bridge = "fifteen-bytes-b".to_owned()), "fine");
}

#[test]
fn names_are_plain() {
    let long = "a".repeat(65);
    for name in ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", &long] {
        let said = said(|spec| spec.name = name.to_owned());
        assert!(said.contains("is no name of a domain; choose 1 to 64 letters"), "{name:?}: {said}");
    }
}

#[test]
fn sizes_are_within_bounds() {
    let words = "`1048577` bytes of memory is not a multiple of 1048576 above 0; choose whole MiB";
    assert_eq!(said(|spec| spec.memory_bytes = MIB + 1), words);
    assert!(said(|spec| spec.memory_bytes = 0).starts_with("`0` bytes of memory"));
    assert_eq!(said(|spec| spec.vcpus = 0), "`0` is no number of processors; choose 1 to 255");
    assert!(said(|spec| spec.vcpus = 256).starts_with("`256` is no number"));
}

#[test]
fn what_is_booted_from_is_there() {
    assert_eq!(said(|spec| spec.boot.clear()), "the boot list of `web-1` is empty; add `hd` or another");
    let twice = |spec: &mut DomainSpec| spec.boot.push(BootDevice::Hd);
    assert_eq!(said(twice), "the boot list names twice `hd`; name it once");
    let words = "the boot list names `hd`, and `web-1` has no disk; add one, or take it off the list";
    assert_eq!(said(|spec| spec.disks.clear()), words);
    let bare = |device| {
        move |spec: &mut DomainSpec| {
            spec.boot = vec![device];
            spec.cdroms.clear();
            spec.interfaces.clear();
        }
    };
    assert!(said(bare(BootDevice::Cdrom)).contains("`web-1` has no CD-ROM drive"));
    assert!(said(bare(BootDevice::Network)).contains("`web-1` has no network card"));
}

#[test]
fn nothing_is_there_twice() {
    let words = "two disks have the identity `00000000-0000-0000-0000-000000000001`; give each its own";
    assert_eq!(said(|spec| spec.disks[1].id = spec.disks[0].id), words);
    let words = "two disks have the file `/volumes/1.qcow2`; give each its own";
    assert_eq!(said(|spec| spec.disks[1].source = spec.disks[0].source.clone()), words);
    let words = "`/volumes/1.qcow2` is both a disk and in a CD-ROM drive; remove one of them";
    assert_eq!(said(|spec| spec.cdroms.push(drive("/volumes/1.qcow2"))), words);
    let words = "two network cards have the address `52:54:00:00:00:02`; give each its own";
    assert_eq!(said(|spec| spec.interfaces[0].mac = spec.interfaces[1].mac), words);
}

#[test]
fn a_board_has_an_end() {
    let words = "`129` is too many disks; choose at most 128";
    assert_eq!(said(|spec| spec.disks = (0..129).map(disk).collect()), words);
    assert_eq!(said(|spec| spec.disks = (0..128).map(disk).collect()), "fine");
    let words = "`33` is too many network cards; choose at most 32";
    assert_eq!(said(|spec| spec.interfaces = (0..33).map(card).collect()), words);
}

#[test]
fn an_old_board_has_four_drives() {
    let old = |drives| {
        move |spec: &mut DomainSpec| {
            spec.machine = Machine::I440fx;
            spec.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback); drives];
        }
    };
    assert_eq!(said(old(4)), "fine");
    assert_eq!(said(old(5)), "`5` is too many CD-ROM drives for the machine `i440fx`; choose at most 4");
}

#[test]
fn cards_have_addresses_of_cards_and_bridges_names_of_bridges() {
    for mac in ["01:00:5e:00:00:01", "fe:54:00:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"] {
        let said = said(|spec| spec.interfaces[1].mac = mac.parse().unwrap());
        assert_eq!(
            said,
            format!("`{mac}` is no address of a network card; choose one like `52:54:00:12:34:56`")
        );
    }
    for bridge in ["", ".", "..", "a/b", "a b", "a:b", "a\tb", "sixteen-bytes-br"] {
        let said = said(|spec| spec.interfaces[0].bridge = bridge.to_owned());
        assert!(said.contains("is no name of a bridge; choose 1 to 15 bytes"), "{bridge:?}: {said}");
    }
}

#[test]
fn paths_are_plain() {
    let long = format!("/{}", "a".repeat(PATH_BYTES));
    for path in
        ["", "a", "/", "//a", "/a/", "/a//b", "/a/./b", "/a/../b", "/a\0", "/a\nb", "/\u{ffff}", &long]
    {
        for error in [
            check_disk(&Disk { source: path.into(), ..disk(1) }).unwrap_err(),
            check_path(Path::new(path)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), crate::Kind::Invalid);
            assert!(error.to_string().contains("; "), "{error}");
        }
    }
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/a\xff");
    let words = "`/a\u{fffd}` is not UTF-8; rename the file";
    assert_eq!(check_path(Path::new(bytes)).unwrap_err().to_string(), words);
    let words =
        "`/a/../b` is not the plain path of a file; write it without `.`, `..`, `//` and `/` at its end";
    assert_eq!(check_path(Path::new("/a/../b")).unwrap_err().to_string(), words);
}

#[test]
fn a_volume_has_a_size_or_something_to_lie_on() {
    let path = PathBuf::from("/v/a");
    let backing = |path: &str| Some(Backing { path: path.into(), format: Format::Raw });
    let said = |format, size_bytes, backing| {
        check_volume(&VolumeSpec { path: path.clone(), format, size_bytes, backing })
            .map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    };
    assert_eq!(said(Format::Raw, Some(512), None), "fine");
    assert_eq!(said(Format::Qcow2, None, backing("/v/b")), "fine");
    assert_eq!(said(Format::Qcow2, Some(1024), backing("/v/b")), "fine");
    let words = "`/v/a` has neither a size nor an image under it; give a size";
    assert_eq!(said(Format::Raw, None, None), words);
    let words = "`513` bytes is no size for `/v/a`; choose a multiple of 512 above 0";
    assert_eq!(said(Format::Raw, Some(513), None), words);
    assert!(said(Format::Qcow2, Some(0), backing("/v/b")).starts_with("`0` bytes is no size"));
    assert!(said(Format::Raw, Some(u64::MAX - 511), None).contains("is no size"));
    let words = "`/v/a` is raw and cannot lie on `/v/b`; choose the format `qcow2`";
    assert_eq!(said(Format::Raw, None, backing("/v/b")), words);
    assert_eq!(said(Format::Qcow2, None, backing("/v/a")), "`/v/a` would lie on itself; choose another path");
    assert!(said(Format::Qcow2, None, backing("b")).contains("is not absolute"));
}
