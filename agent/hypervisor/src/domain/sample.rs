//! A domain for the tests of the parts.

use uuid::Uuid;

use super::device::Devices;
use super::element::Element;
use super::{Plan, Surroundings, target};
use crate::cache::{Decision, Decisions};
use crate::spec::{
    Accel, AccelChoice, BootDevice, CacheChoice, CacheMode, Disk, DiskBus, DiskId, DomainSpec, Firmware,
    Format, Guest, Machine, Sector,
};

pub(super) fn disk(number: u128) -> Disk {
    Disk {
        id: DiskId(Uuid::from_u128(number)),
        source: format!("/volumes/{number}.qcow2").into(),
        format: Format::Qcow2,
        bus: DiskBus::Virtio,
        cache: CacheChoice::None.into(),
        sector: Sector::Fixed(None),
    }
}

pub(super) fn spec() -> DomainSpec {
    DomainSpec {
        uuid: Uuid::from_u128(0xd0),
        name: "sample".to_owned(),
        memory_bytes: 512 * 1024 * 1024,
        vcpus: 2,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Auto,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![disk(1)],
        cdroms: Vec::new(),
        interfaces: Vec::new(),
    }
}

pub(super) fn surroundings() -> Surroundings {
    let console_log = "/log/sample.log".into();
    Surroundings { accel: Accel::Kvm, console_log, uefi: true, cache: decisions(&spec()) }
}

/// What is asked for, on a host that takes O_DIRECT everywhere.
pub(super) fn decisions(spec: &DomainSpec) -> Decisions {
    let decided = |choice: CacheChoice, mode: CacheMode| match choice {
        CacheChoice::Auto => Decision::new(choice, mode, format!("asked for `auto`, which is `{mode}` here")),
        explicit => Decision::explicit(explicit.as_str().parse().unwrap()),
    };
    Decisions {
        disks: spec.disks.iter().map(|disk| decided(disk.cache.choice, CacheMode::None)).collect(),
        drives: spec.cdroms.iter().map(|drive| decided(drive.cache.choice, CacheMode::Writeback)).collect(),
    }
}

fn planned<T>(
    change: impl FnOnce(&mut DomainSpec, &mut Surroundings),
    then: impl FnOnce(&Plan<'_>) -> T,
) -> T {
    let (mut spec, mut host) = (spec(), surroundings());
    change(&mut spec, &mut host);
    host.cache = decisions(&spec);
    let (disks, drives) = target::place(&spec, &host.cache);
    then(&Plan { spec: &spec, host: &host, disks, drives })
}

/// What a part adds to a domain after a change, one line an element, without line breaks inside.
pub(super) fn part(
    add: fn(&Plan<'_>, &mut Element),
    change: impl FnOnce(&mut DomainSpec, &mut Surroundings),
) -> String {
    let mut domain = Element::new("domain");
    planned(change, |plan| add(plan, &mut domain));
    flat(&domain)
}

/// The same for devices, and how many slots they take.
pub(super) fn device(
    add: fn(&Plan<'_>, &mut Devices),
    change: impl FnOnce(&mut DomainSpec, &mut Surroundings),
) -> (String, usize) {
    let mut devices = Devices::default();
    planned(change, |plan| add(plan, &mut devices));
    let slots = devices.slots();
    (flat(&devices.element()), slots)
}

fn flat(parent: &Element) -> String {
    let xml = parent.xml().unwrap();
    let inner: Vec<&str> = xml.lines().filter(|line| line.starts_with("  ")).collect();
    let top = |line: &str| line.starts_with("  <") && !line.starts_with("  </");
    let mut text = String::new();
    for line in inner {
        if top(line) && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line.trim());
    }
    text
}
