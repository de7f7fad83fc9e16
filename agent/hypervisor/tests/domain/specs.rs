//! The domains that have a golden file, and what reading one of them has to give.

use std::path::PathBuf;

use agent_hypervisor::cache::{Decision, Decisions};
use agent_hypervisor::domain::{Described, DiskAt, DriveAt, Mark, Since, Surroundings};
use agent_hypervisor::spec::{
    Accel, AccelChoice, BootDevice, CacheChoice, CacheMode, CdromDrive, Disk, DiskBus, DiskId, DomainSpec,
    Firmware, Format, Guest, Interface, InterfaceModel, Machine, Sector,
};
use uuid::Uuid;

/// A domain, and what it runs on.
pub struct Case {
    /// The name of its golden file, and of the domain.
    pub name: &'static str,
    pub spec: DomainSpec,
    pub host: Surroundings,
}

const MIB: u64 = 1024 * 1024;

pub fn host(spec: &DomainSpec, accel: Accel) -> Surroundings {
    let console_log = format!("/var/log/cairn/console/{}.log", spec.name).into();
    Surroundings { accel, console_log, uefi: true, cache: decisions(spec) }
}

/// What comes of what is asked for, where O_DIRECT is taken.
fn decisions(spec: &DomainSpec) -> Decisions {
    let decided = |choice: CacheChoice, mode: CacheMode| match choice {
        CacheChoice::Auto => {
            let why = format!(
                "asked for `auto`, which is `{mode}` here: `/srv/a&b \"<c>\"` on ext4 takes O_DIRECT"
            );
            Decision::new(choice, mode, why)
        }
        explicit => Decision::explicit(explicit.as_str().parse().unwrap()),
    };
    Decisions {
        disks: spec.disks.iter().map(|disk| decided(disk.cache.choice, CacheMode::None)).collect(),
        drives: spec.cdroms.iter().map(|drive| decided(drive.cache.choice, CacheMode::Writeback)).collect(),
    }
}

/// Identities are told by numbers, so that golden files stay as they are.
fn disk(number: u128) -> Disk {
    Disk {
        id: DiskId(Uuid::from_u128(0xd15c_0000 + number)),
        source: format!("/var/lib/cairn/volumes/{number}.qcow2").into(),
        format: Format::Qcow2,
        bus: DiskBus::Virtio,
        cache: CacheChoice::None.into(),
        sector: Sector::Fixed(None),
    }
}

fn raw(number: u128) -> Disk {
    let source = format!("/var/lib/cairn/volumes/{number}.raw").into();
    Disk { source, format: Format::Raw, cache: CacheChoice::Writeback.into(), ..disk(number) }
}

fn disk_on(number: u128, bus: DiskBus) -> Disk {
    Disk { bus, ..disk(number) }
}

fn drive(name: &str, cache: CacheChoice) -> CdromDrive {
    CdromDrive { cache: cache.into(), media: Some(format!("/var/lib/cairn/images/{name}.iso").into()) }
}

fn card(last: u8, model: InterfaceModel) -> Interface {
    let mac = format!("52:54:00:00:00:{last:02x}").parse().unwrap();
    Interface { mac, bridge: "cairn0".to_owned(), model }
}

fn minimal() -> DomainSpec {
    DomainSpec {
        uuid: Uuid::nil(),
        name: String::new(),
        memory_bytes: 128 * MIB,
        vcpus: 1,
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

fn linux() -> DomainSpec {
    DomainSpec {
        memory_bytes: 2048 * MIB,
        vcpus: 2,
        disks: vec![disk(1), raw(2)],
        interfaces: vec![card(1, InterfaceModel::Virtio)],
        ..minimal()
    }
}

fn windows() -> DomainSpec {
    DomainSpec {
        memory_bytes: 4096 * MIB,
        vcpus: 4,
        guest: Guest::Windows,
        boot: vec![BootDevice::Cdrom, BootDevice::Hd],
        disks: vec![disk_on(1, DiskBus::Sata)],
        cdroms: vec![drive("windows", CacheChoice::Writeback), drive("virtio-win", CacheChoice::None)],
        interfaces: vec![card(1, InterfaceModel::E1000e)],
        ..minimal()
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let overlay = "/var/lib/cairn/volumes/overlay-on-image.qcow2";
    let odd = "/var/lib/cairn/volumes/a&b <c>'s \"d\".qcow2";
    let mut cases = vec![
        ("minimal", Accel::Tcg, minimal()),
        ("minimal-kvm", Accel::Kvm, DomainSpec { accel: AccelChoice::Kvm, ..minimal() }),
        ("linux", Accel::Tcg, linux()),
        ("linux-kvm", Accel::Kvm, linux()),
        ("windows", Accel::Tcg, DomainSpec { accel: AccelChoice::Tcg, ..windows() }),
        ("windows-kvm", Accel::Kvm, windows()),
        (
            "network-boot",
            Accel::Tcg,
            DomainSpec {
                boot: vec![BootDevice::Network, BootDevice::Hd],
                interfaces: vec![card(1, InterfaceModel::Virtio), card(2, InterfaceModel::E1000)],
                ..minimal()
            },
        ),
        (
            "no-disk",
            Accel::Tcg,
            DomainSpec {
                boot: vec![BootDevice::Cdrom],
                disks: Vec::new(),
                cdroms: vec![CdromDrive::empty(CacheChoice::Writeback)],
                ..minimal()
            },
        ),
        (
            "cdrom",
            Accel::Tcg,
            DomainSpec {
                boot: vec![BootDevice::Cdrom, BootDevice::Hd],
                cdroms: vec![
                    drive("installer", CacheChoice::None),
                    CdromDrive::empty(CacheChoice::Writeback),
                ],
                ..minimal()
            },
        ),
        ("uefi", Accel::Tcg, DomainSpec { firmware: Firmware::Uefi, ..linux() }),
        (
            "i440fx",
            Accel::Tcg,
            DomainSpec {
                machine: Machine::I440fx,
                cdroms: vec![
                    drive("installer", CacheChoice::Writeback),
                    CdromDrive::empty(CacheChoice::Writeback),
                ],
                disks: vec![disk(1), disk_on(2, DiskBus::Sata), disk_on(3, DiskBus::Scsi)],
                interfaces: vec![card(1, InterfaceModel::Virtio), card(2, InterfaceModel::E1000)],
                ..minimal()
            },
        ),
        (
            "i440fx-uefi",
            Accel::Tcg,
            DomainSpec { machine: Machine::I440fx, firmware: Firmware::Uefi, ..minimal() },
        ),
        ("many-disks", Accel::Tcg, DomainSpec { disks: (1..=30).map(disk).collect(), ..minimal() }),
        (
            "many-disks-scsi",
            Accel::Tcg,
            DomainSpec {
                disks: (1..=30).map(|number| disk_on(number, DiskBus::Scsi)).collect(),
                ..minimal()
            },
        ),
        (
            "many-disks-sata",
            Accel::Tcg,
            DomainSpec {
                disks: (1..=30).map(|number| disk_on(number, DiskBus::Sata)).collect(),
                ..minimal()
            },
        ),
        (
            "many-disks-i440fx",
            Accel::Tcg,
            DomainSpec { machine: Machine::I440fx, disks: (1..=30).map(disk).collect(), ..minimal() },
        ),
        (
            "overlay",
            Accel::Tcg,
            DomainSpec { disks: vec![Disk { source: overlay.into(), ..disk(1) }], ..minimal() },
        ),
        (
            "escaped",
            Accel::Tcg,
            DomainSpec {
                disks: vec![Disk { source: odd.into(), ..disk(1) }],
                cdroms: vec![drive("50% <off>, \"ü\" & 'more'", CacheChoice::Writeback)],
                ..minimal()
            },
        ),
    ];
    for (name, cache) in [
        ("cache-none", CacheChoice::None),
        ("cache-writeback", CacheChoice::Writeback),
        ("cache-writethrough", CacheChoice::Writethrough),
        ("cache-directsync", CacheChoice::Directsync),
        ("cache-unsafe", CacheChoice::Unsafe),
        ("cache-auto", CacheChoice::Auto),
    ] {
        let disks = [DiskBus::Virtio, DiskBus::Scsi, DiskBus::Sata];
        let disks = (1..)
            .zip(disks)
            .map(|(number, bus)| Disk { cache: cache.into(), ..disk_on(number, bus) })
            .collect();
        cases.push((
            name,
            Accel::Tcg,
            DomainSpec { disks, cdroms: vec![drive("installer", cache)], ..minimal() },
        ));
    }
    let named = |(number, (name, accel, spec)): (u128, (&'static str, Accel, DomainSpec))| {
        let spec = DomainSpec { uuid: Uuid::from_u128(0xd0_0000 + number), name: name.to_owned(), ..spec };
        let host = host(&spec, accel);
        Case { name, spec, host }
    };
    (1..).zip(cases).map(named).collect()
}

/// What reading the description of `spec` has to give.
pub fn expected(spec: &DomainSpec, host: &Surroundings) -> Described {
    let mut names = Names::default();
    let disks = spec.disks.iter().zip(&host.cache.disks).map(|(disk, decided)| {
        let prefix = if disk.bus == DiskBus::Virtio { "vd" } else { "sd" };
        DiskAt {
            disk: disk.clone(),
            target: names.next(prefix),
            readonly: false,
            shareable: false,
            decided: decided.clone(),
            since: Since::default(),
        }
    });
    let disks = disks.collect();
    let (bus, prefix) = if spec.machine == Machine::Q35 { ("sata", "sd") } else { ("ide", "hd") };
    let drives = (0..).zip(spec.cdroms.iter().zip(&host.cache.drives));
    let drives = drives.map(|(drive, (cdrom, decided))| DriveAt {
        drive,
        target: names.next(prefix),
        bus: bus.to_owned(),
        decided: decided.clone(),
        media: cdrom.media.clone(),
    });
    Described {
        uuid: spec.uuid,
        name: spec.name.clone(),
        mark: Some(Mark { accel: spec.accel, guest: spec.guest }),
        memory_bytes: spec.memory_bytes,
        vcpus: spec.vcpus,
        machine: spec.machine,
        firmware: spec.firmware,
        accel: host.accel,
        boot: spec.boot.clone(),
        disks,
        drives: drives.collect(),
        interfaces: spec.interfaces.clone(),
        console_log: Some(host.console_log.clone()),
        vnc_socket: None,
    }
}

/// Names of disks of one bus after another, told in another way than the code under test does.
#[derive(Default)]
struct Names(std::collections::HashMap<&'static str, Vec<u8>>);

impl Names {
    fn next(&mut self, prefix: &'static str) -> String {
        let last = self.0.entry(prefix).or_default();
        // Counts like an odometer, from the right.
        let turns = last.iter().rev().take_while(|letter| **letter == b'z').count();
        let stays = last.len() - turns;
        match stays.checked_sub(1) {
            Some(at) => last[at] += 1,
            None => last.insert(0, b'a'),
        }
        let wheels = last.len() - turns;
        last[wheels..].fill(b'a');
        format!("{prefix}{}", String::from_utf8(last.clone()).unwrap())
    }
}

/// The golden file of a name.
pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.xml"))
}
