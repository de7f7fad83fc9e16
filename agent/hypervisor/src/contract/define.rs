//! Defining, finding and undefining domains.

use super::room::{MIB, Room, START, START_PAUSED, done, refused};
use crate::cache::CachePlan;
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::{GuestKind, Outside};
use crate::spec::{
    Accel, BootDevice, CacheChoice, CacheMode, CdromDrive, DiskBus, DiskId, DomainSpec, Firmware, Format,
    Interface, InterfaceModel, Mac, Machine,
};
use crate::state::{Domain, State};

pub(super) async fn a_domain_is_shown_as_it_was_defined(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.vcpus = 2;
    spec.disks.push(room.blank_disk("data", CacheMode::Directsync).await);
    let media = room.media("iso").await;
    spec.cdroms = vec![
        CdromDrive::with(CacheChoice::Writeback, media.clone()),
        CdromDrive::empty(CacheChoice::Writeback),
    ];
    let domain = room.define(&spec).await;

    assert_eq!((domain.uuid, &domain.name), (spec.uuid, &spec.name));
    assert_eq!(domain.state, State::Shutoff, "a domain is off after it was defined");
    assert_eq!((domain.memory_bytes, domain.vcpus), (32 * MIB, 2));
    assert_eq!((domain.machine, domain.firmware, domain.accel), (Machine::Q35, Firmware::Bios, Accel::Tcg));
    let shown =
        domain.disks.iter().map(|disk| (disk.id, &disk.source, disk.format, disk.bus, disk.cache.requested));
    let asked =
        spec.disks.iter().map(|disk| (disk.id, &disk.source, disk.format, disk.bus, disk.cache.choice));
    assert_eq!(shown.collect::<Vec<_>>(), asked.collect::<Vec<_>>());
    assert_eq!(domain.disks.first().map(|disk| disk.target.as_str()), Some("vda"));
    let drives: Vec<_> = domain.cdroms.iter().map(|cdrom| (cdrom.drive, cdrom.media.is_some())).collect();
    assert_eq!(drives, [(0, true), (1, false)]);
    let shown = domain.cdroms.first().and_then(|cdrom| cdrom.media.as_ref());
    let shown = shown.map(|media| (media.source.clone(), media.cache.requested));
    assert_eq!(shown, Some((media, CacheChoice::Writeback)));
    assert_eq!((&domain.interfaces, &domain.vnc_socket), (&Vec::new(), &None));
    assert_eq!(domain.taints, Vec::<String>::new());

    assert_eq!(room.domain(spec.uuid).await, domain, "looked at again, it differs");
    assert_eq!(listed(room, "vm").await, std::slice::from_ref(&domain), "listed, it differs");
    let other = room.fixture.hypervisor().await;
    assert_eq!(done(other.domain(spec.uuid).await, "looking by another connection"), domain);
}

/// The domains of this case whose name ends like this.
async fn listed(room: &Room, suffix: &str) -> Vec<Domain> {
    let name = room.name(suffix);
    let domains = done(room.hypervisor.domains().await, "listing domains");
    domains.into_iter().filter(|domain| domain.name == name).collect()
}

pub(super) async fn domains_are_listed_by_name(room: &Room) {
    for suffix in ["b", "c", "a"] {
        room.define(&room.bare(suffix)).await;
    }
    let domains = done(room.hypervisor.domains().await, "listing domains");
    let names: Vec<String> = domains.into_iter().map(|domain| domain.name).collect();
    let own: Vec<&String> = names.iter().filter(|name| name.starts_with(&room.name(""))).collect();
    assert_eq!(own, [&room.name("a"), &room.name("b"), &room.name("c")]);
    assert!(names.is_sorted(), "domains are not in the order of their names: {names:?}");
}

pub(super) async fn an_undefined_domain_is_gone(room: &Room) {
    let spec = room.bare("vm");
    room.define(&spec).await;
    done(room.hypervisor.undefine(spec.uuid, Attempt::First).await, "undefining");
    refused(room.hypervisor.domain(spec.uuid).await, Kind::NotFound, "looking at what was undefined");
    assert_eq!(listed(room, "vm").await, []);
    let again = room.hypervisor.undefine(spec.uuid, Attempt::First).await;
    refused(again, Kind::NotFound, "undefining what was undefined");
    done(room.hypervisor.undefine(spec.uuid, Attempt::Again).await, "undefining in a later attempt");
    room.define(&spec).await;
}

pub(super) async fn an_active_domain_is_not_undefined(room: &Room) {
    let spec = room.bare("vm");
    room.paused(&spec).await;
    for attempt in [Attempt::First, Attempt::Again] {
        refused(
            room.hypervisor.undefine(spec.uuid, attempt).await,
            Kind::Conflict,
            "undefining while paused",
        );
    }
    room.act(spec.uuid, Action::Resume).await;
    for attempt in [Attempt::First, Attempt::Again] {
        refused(
            room.hypervisor.undefine(spec.uuid, attempt).await,
            Kind::Conflict,
            "undefining while running",
        );
    }
    assert_eq!(room.domain(spec.uuid).await.state, State::Running);
}

pub(super) async fn an_identity_is_taken_once(room: &Room) {
    let spec = room.bare("first");
    let domain = room.define(&spec).await;
    let same = room.hypervisor.define(&spec, Attempt::First).await;
    refused(same, Kind::Exists, "defining the same domain twice");
    let second = DomainSpec { name: room.name("second"), ..spec };
    let same = room.hypervisor.define(&second, Attempt::First).await;
    refused(same, Kind::Exists, "defining another domain with the same identity");
    assert_eq!(room.domain(second.uuid).await, domain, "the refused one changed the first");
}

pub(super) async fn a_name_is_taken_once(room: &Room) {
    let first = room.bare("vm");
    room.define(&first).await;
    let second = room.bare("vm");
    for attempt in [Attempt::First, Attempt::Again] {
        let same = room.hypervisor.define(&second, attempt).await;
        refused(same, Kind::Exists, "defining a domain with the name of another");
    }
    refused(room.hypervisor.domain(second.uuid).await, Kind::NotFound, "looking at the refused domain");
    done(room.hypervisor.undefine(first.uuid, Attempt::First).await, "undefining");
    room.define(&second).await;
}

pub(super) async fn a_later_attempt_replaces_a_definition(room: &Room) {
    let spec = room.bare("vm");
    let again = room.hypervisor.define(&spec, Attempt::Again).await;
    let domain = done(again, "a later attempt, of which the first got nowhere");
    let again = room.hypervisor.define(&spec, Attempt::Again).await;
    assert_eq!(done(again, "a later attempt, of which the first defined it"), domain);
    let renamed = DomainSpec { name: room.name("renamed"), ..spec.clone() };
    let renamed = room.hypervisor.define(&renamed, Attempt::Again).await;
    refused(renamed, Kind::Exists, "replacing a definition by one of another name");
    let bigger = DomainSpec { vcpus: 2, ..spec };
    let domain = done(room.hypervisor.define(&bigger, Attempt::Again).await, "replacing a definition");
    assert_eq!(domain.vcpus, 2);
    assert_eq!(listed(room, "vm").await, [domain]);
}

pub(super) async fn bad_definitions_are_refused(room: &Room) {
    type Spoil = fn(&mut DomainSpec);
    let spoils: &[(&str, Spoil)] = &[
        ("no name", |spec| spec.name.clear()),
        ("a slash in the name", |spec| spec.name.push('/')),
        ("a name with a dash in front", |spec| spec.name.insert(0, '-')),
        ("a name of 65 letters", |spec| spec.name = "x".repeat(65)),
        ("no memory", |spec| spec.memory_bytes = 0),
        ("memory of half a MiB more", |spec| spec.memory_bytes += MIB / 2),
        ("no processors", |spec| spec.vcpus = 0),
        ("256 processors", |spec| spec.vcpus = 256),
        ("nothing to boot from", |spec| spec.boot.clear()),
        ("the same boot device twice", |spec| spec.boot.push(BootDevice::Hd)),
        ("a boot device that is not there", |spec| spec.boot.push(BootDevice::Network)),
        ("a disk with a relative path", |spec| spec.disks[0].source = "disk".into()),
        ("a disk with a line break in its path", |spec| spec.disks[0].source = "/a\nb".into()),
        ("a medium with a relative path", |spec| {
            spec.cdroms[0].media = Some("iso".into());
        }),
        ("two disks with one identity", |spec| {
            let mut twin = spec.disks[0].clone();
            twin.source.set_extension("twin");
            spec.disks.push(twin);
        }),
        ("two disks on one file", |spec| {
            let mut twin = spec.disks[0].clone();
            twin.id = DiskId(uuid::Uuid::from_u128(u128::MAX));
            spec.disks.push(twin);
        }),
        ("a network card with a group's address", |spec| {
            let mac = Mac([0x53, 0x54, 0, 0, 0, 1]);
            spec.interfaces.push(Interface { mac, bridge: "br0".into(), model: InterfaceModel::Virtio });
        }),
        ("a bridge with a name that none can have", |spec| {
            let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
            spec.interfaces.push(Interface { mac, bridge: "a/b".into(), model: InterfaceModel::Virtio });
        }),
    ];
    for (what, spoil) in spoils {
        let mut spec = room.with_root("vm", room.path("root"), CacheMode::Writeback);
        spoil(&mut spec);
        for attempt in [Attempt::First, Attempt::Again] {
            refused(room.hypervisor.define(&spec, attempt).await, Kind::Invalid, what);
        }
        refused(room.hypervisor.domain(spec.uuid).await, Kind::NotFound, "looking at the refused domain");
    }
}

pub(super) async fn unknown_domains_are_not_found(room: &Room) {
    let uuid = room.uuid();
    let hypervisor = &room.hypervisor;
    let (first, again) = (Attempt::First, Attempt::Again);
    refused(hypervisor.domain(uuid).await, Kind::NotFound, "looking");
    let patience = room.fixture.patience();
    let actions = [
        START,
        START_PAUSED,
        Action::Shutdown { patience },
        Action::Destroy,
        Action::Reboot { patience },
        Action::Reset,
        Action::Suspend,
        Action::Resume,
    ];
    for action in actions {
        for attempt in [first, again] {
            refused(hypervisor.act(uuid, action, attempt).await, Kind::NotFound, &format!("{action:?}"));
        }
    }
    let disk = room.blank_disk("data", CacheMode::Writeback).await;
    let media = room.media("iso").await;
    let plan = CachePlan { disks: Vec::new(), cdroms: CacheChoice::Auto.into() };
    refused(hypervisor.settle_cache(uuid, &plan, first).await, Kind::NotFound, "settling cache modes");
    refused(hypervisor.undefine(uuid, first).await, Kind::NotFound, "undefining");
    refused(hypervisor.attach_disk(uuid, &disk, first).await, Kind::NotFound, "attaching");
    refused(hypervisor.detach_disk(uuid, disk.id, first).await, Kind::NotFound, "detaching");
    refused(hypervisor.insert_media(uuid, 0, &media, first).await, Kind::NotFound, "inserting");
    refused(hypervisor.eject_media(uuid, 0, first).await, Kind::NotFound, "ejecting");
    refused(hypervisor.console_log(uuid, 0, 1).await, Kind::NotFound, "reading the console log");
}

pub(super) async fn domains_of_others_are_left_alone(room: &Room) {
    let (uuid, name) = (room.uuid(), room.name("foreign"));
    room.fixture.outside(Outside::Define { uuid, name: name.clone() }).await;
    assert_eq!(listed(room, "foreign").await, [], "somebody else's domain is listed");
    let hypervisor = &room.hypervisor;
    let plan = CachePlan { disks: Vec::new(), cdroms: CacheChoice::Auto.into() };
    refused(hypervisor.domain(uuid).await, Kind::NotFound, "looking at somebody else's domain");
    refused(hypervisor.console_log(uuid, 0, 1).await, Kind::NotFound, "reading its console log");
    for attempt in [Attempt::First, Attempt::Again] {
        refused(hypervisor.act(uuid, START, attempt).await, Kind::Exists, "starting it");
        refused(hypervisor.eject_media(uuid, 0, attempt).await, Kind::Exists, "ejecting from it");
        refused(
            hypervisor.settle_cache(uuid, &plan, attempt).await,
            Kind::Exists,
            "settling its cache modes",
        );
        refused(hypervisor.undefine(uuid, attempt).await, Kind::Exists, "undefining it");
        let same = hypervisor.define(&DomainSpec { uuid, ..room.bare("own") }, attempt).await;
        refused(same, Kind::Exists, "defining a domain with its identity");
        let same = hypervisor.define(&DomainSpec { name: name.clone(), ..room.bare("own") }, attempt).await;
        refused(same, Kind::Exists, "defining a domain with its name");
    }
    // It fails if it is not there any more.
    room.fixture.outside(Outside::Undefine(uuid)).await;
}

pub(super) async fn every_main_board_and_bus_starts(room: &Room) {
    for machine in Machine::ALL.iter().copied() {
        let mut spec = room.with_guest(machine.as_str(), GuestKind::Answering).await;
        spec.machine = machine;
        for bus in DiskBus::ALL.iter().copied() {
            let mut disk = room.blank_disk(&format!("{machine}.{bus}"), CacheMode::Writeback).await;
            disk.bus = bus;
            spec.disks.push(disk);
        }
        let domain = room.paused(&spec).await;
        assert_eq!((domain.machine, domain.state), (machine, State::Paused));
        let buses: Vec<DiskBus> = domain.disks.iter().map(|disk| disk.bus).collect();
        assert_eq!(buses, [&[DiskBus::Virtio], DiskBus::ALL].concat());
        let cdroms = domain.cdroms.iter().map(|cdrom| &cdrom.target);
        let mut targets: Vec<&String> = domain.disks.iter().map(|disk| &disk.target).chain(cdroms).collect();
        targets.sort();
        targets.dedup();
        assert_eq!(targets.len(), 5, "two have the same name: {domain:?}");
        assert_eq!(domain.taints, Vec::<String>::new());
    }
}

pub(super) async fn uefi_starts_or_is_refused_as_the_host_says(room: &Room) {
    let host = room.hypervisor.host().await;
    assert!(host.hypervisor.is_ok(), "the host says that there is no hypervisor: {:?}", host.hypervisor);
    assert!(!host.accel_reason.is_empty(), "the host gives no reason for `{}`", host.accel);
    let spec = DomainSpec { firmware: Firmware::Uefi, ..room.bare("vm") };
    if host.uefi {
        assert_eq!(room.paused(&spec).await.firmware, Firmware::Uefi);
        room.act(spec.uuid, Action::Destroy).await;
        done(room.hypervisor.undefine(spec.uuid, Attempt::First).await, "undefining what has UEFI variables");
    } else {
        refused(
            room.hypervisor.define(&spec, Attempt::First).await,
            Kind::Unsupported,
            "UEFI without an image",
        );
    }
}

pub(super) async fn network_cards_are_kept(room: &Room) {
    let bridge = room.fixture.bridge();
    let card = |number, model| Interface {
        mac: Mac([0x52, 0x54, 0, 0xc0, 0xde, number]),
        bridge: bridge.clone().unwrap_or_else(|| "br0".to_owned()),
        model,
    };
    let mut spec = room.bare("vm");
    spec.interfaces =
        (1..).zip(InterfaceModel::ALL.iter().copied()).map(|(number, model)| card(number, model)).collect();
    spec.boot.push(BootDevice::Network);
    assert_eq!(room.define(&spec).await.interfaces, spec.interfaces);
    if bridge.is_some() {
        assert_eq!(room.act(spec.uuid, START_PAUSED).await.interfaces, spec.interfaces);
    }
}

pub(super) async fn disks_keep_their_order_and_format(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    for (file, format) in [("a", Format::Qcow2), ("b", Format::Raw), ("c", Format::Qcow2)] {
        let path = room.path(file);
        let size_bytes = Some(MIB);
        let volume = crate::storage::VolumeSpec { path: path.clone(), format, size_bytes, backing: None };
        done(room.hypervisor.create_volume(&volume, Attempt::First).await, "making a volume");
        spec.disks.push(room.disk(path, format, CacheMode::Writeback));
    }
    let sources = |domain: &Domain| {
        domain.disks.iter().map(|disk| (disk.source.clone(), disk.format)).collect::<Vec<_>>()
    };
    let asked: Vec<_> = spec.disks.iter().map(|disk| (disk.source.clone(), disk.format)).collect();
    assert_eq!(sources(&room.define(&spec).await), asked);
    assert_eq!(sources(&room.act(spec.uuid, START_PAUSED).await), asked);
}

pub(super) async fn a_later_attempt_finds_its_domain_active(room: &Room) {
    let spec = room.bare("vm");
    let domain = room.paused(&spec).await;
    let again = room.hypervisor.define(&spec, Attempt::Again).await;
    assert_eq!(done(again, "a later attempt to define what has been started since"), domain);
}

pub(super) async fn what_is_tuned_for_windows_starts(room: &Room) {
    let guest = crate::spec::Guest::Windows;
    let spec = DomainSpec { guest, ..room.with_guest("vm", GuestKind::Answering).await };
    room.booted(&spec).await;
    assert_eq!(room.domain(spec.uuid).await.taints, Vec::<String>::new());
}
