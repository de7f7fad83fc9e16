//! Whatever can be asked for is described, and reads back as it was asked for.

use std::path::PathBuf;

use agent_hypervisor::check::check;
use agent_hypervisor::domain::{read, xml};
use agent_hypervisor::spec::{
    Accel, AccelChoice, BootDevice, CacheChoice, CdromDrive, Disk, DiskBus, DiskId, DomainSpec, Firmware,
    Format, Guest, Interface, InterfaceModel, Mac, Machine, Sector,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use uuid::Uuid;

use crate::specs::{expected, host};

fn path() -> impl Strategy<Value = String> {
    // Anything that a file can be called and XML can carry, and often what XML has to escape.
    let name = prop_oneof!["[&<>'\"%;\\]a-z -]{1,40}", "[^/\\pC]{1,40}"];
    let plain = name.prop_filter("a name, not a place", |name| name != "." && name != "..");
    proptest::collection::vec(plain, 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn cache() -> impl Strategy<Value = CacheChoice> {
    select(CacheChoice::ALL)
}

fn disk() -> impl Strategy<Value = Disk> {
    (any::<u128>(), path(), select(Format::ALL), select(DiskBus::ALL), cache()).prop_map(
        |(id, source, format, bus, cache)| {
            let source = format!("{source}-{id:x}").into();
            Disk {
                id: DiskId(Uuid::from_u128(id)),
                source,
                format,
                bus,
                cache: cache.into(),
                sector: Sector::Fixed(None),
            }
        },
    )
}

fn cdrom() -> impl Strategy<Value = CdromDrive> {
    let media = proptest::option::of(path().prop_map(PathBuf::from));
    (cache(), media).prop_map(|(cache, media)| CdromDrive { cache: cache.into(), media })
}

fn interface() -> impl Strategy<Value = Interface> {
    (any::<[u8; 5]>(), "[!-.0-9;-~]{3,15}", select(InterfaceModel::ALL)).prop_map(|(bytes, bridge, model)| {
        let [b, c, d, e, f] = bytes;
        Interface { mac: Mac([0x52, b, c, d, e, f]), bridge, model }
    })
}

fn spec() -> impl Strategy<Value = DomainSpec> {
    let head = (any::<u128>(), "[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", 1..1_u64 << 24, 1..=255_u32);
    let kind = (select(Machine::ALL), select(Firmware::ALL), select(AccelChoice::ALL), select(Guest::ALL));
    let boot = subsequence(BootDevice::ALL, 1..=BootDevice::ALL.len()).prop_shuffle();
    let disks = proptest::collection::vec(disk(), 1..40);
    let cdroms = proptest::collection::vec(cdrom(), 1..=4);
    let interfaces = proptest::collection::vec(interface(), 1..8);
    (head, kind, boot, disks, cdroms, interfaces).prop_map(|(head, kind, boot, disks, cdroms, interfaces)| {
        let (uuid, name, mib, vcpus) = head;
        let (machine, firmware, accel, guest) = kind;
        let (uuid, memory_bytes) = (Uuid::from_u128(uuid), mib * 1024 * 1024);
        DomainSpec {
            uuid,
            name,
            memory_bytes,
            vcpus,
            machine,
            firmware,
            accel,
            guest,
            boot,
            disks,
            cdroms,
            interfaces,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_asked_for_reads_back(spec in spec(), accel in select(Accel::ALL)) {
        prop_assert_eq!(check(&spec), Ok(()));
        let host = host(&spec, accel);
        let built = xml(&spec, &host).unwrap();
        prop_assert_eq!(read(&built).unwrap(), expected(&spec, &host));
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
    }
}
