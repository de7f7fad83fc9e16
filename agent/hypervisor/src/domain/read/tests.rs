//! What others write: libvirt while a domain runs, operators, other products.

use super::*;
use crate::cache::Decision;
use crate::domain::{DriveAt, Surroundings, sample, xml};
use crate::spec::{AccelChoice, CacheChoice, CacheMode, CdromDrive, DiskBus, Format};

const HEAD: &str = "<domain type='qemu'><name>n</name><uuid>00000000-0000-0000-0000-0000000000d0</uuid>\
    <memory>2048</memory><vcpu>2</vcpu><os><type>hvm</type></os>";

fn devices(devices: &str) -> Described {
    read(&format!("{HEAD}<devices>{devices}</devices></domain>")).unwrap()
}

#[test]
fn what_was_built_is_read_back() {
    let mut spec = sample::spec();
    spec.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback)];
    let host = Surroundings { cache: sample::decisions(&spec), ..sample::surroundings() };
    let read = read(&xml(&spec, &host).unwrap()).unwrap();
    assert_eq!(read.mark, Some(Mark { accel: AccelChoice::Auto, guest: Guest::Linux }));
    assert_eq!((read.memory_bytes, read.vcpus, read.accel), (spec.memory_bytes, spec.vcpus, host.accel));
    assert_eq!(read.disks[0].disk, spec.disks[0]);
    assert_eq!(read.console_log, Some(host.console_log));
    let drive = DriveAt {
        drive: 0,
        target: "sda".to_owned(),
        bus: "sata".to_owned(),
        decided: Decision::explicit(CacheMode::Writeback),
        media: None,
    };
    assert_eq!(read.drives, [drive]);
}

#[test]
fn a_domain_without_our_mark_is_not_ours() {
    let foreign = "<metadata><app:vm xmlns:app='urn:other:vm:1'/><vm xmlns='urn:other:vm:1'/></metadata>";
    let ours = "<metadata><x:vm xmlns:x='urn:cairn:vm:1' accel='kvm' guest='later'/></metadata>";
    let mark = |metadata: &str| {
        read(&format!("{HEAD}{metadata}<devices/></domain>"))
            .unwrap()
            .mark
            .map(|mark| (mark.accel, mark.guest))
    };
    assert_eq!(mark(""), None);
    assert_eq!(mark(foreign), None);
    assert_eq!(mark(ours), Some((AccelChoice::Kvm, Guest::Linux)));
}

#[test]
fn a_running_domain_shows_its_socket_and_chains() {
    let read = devices(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>\
         <source file='/v/top.qcow2' index='3'/><backingStore type='file' index='4'><format type='raw'/>\
         <source file='/v/base.raw'/></backingStore><target dev='vda' bus='virtio'/>\
         <alias name='ua-volume-00000000-0000-0000-0000-000000000001'/></disk>\
         <disk type='file' device='cdrom'><driver name='qemu'/><target dev='sda' bus='sata' tray='open'/></disk>\
         <graphics type='vnc' socket='/run/a/vnc.sock'><listen type='socket' socket='/run/a/vnc.sock'/></graphics>",
    );
    assert_eq!(read.vnc_socket, Some("/run/a/vnc.sock".into()));
    let disk = &read.disks[0].disk;
    assert_eq!((disk.id.0.as_u128(), disk.cache.choice), (1, CacheChoice::None));
    assert_eq!(disk.source.to_str(), Some("/v/top.qcow2"));
    assert_eq!(read.drives[0].media, None);
    assert_eq!(devices("<graphics type='vnc' port='-1'/>").vnc_socket, None);
    let old = devices("<graphics type='spice'/><graphics type='vnc' socket='/run/b'/>");
    assert_eq!(old.vnc_socket, Some("/run/b".into()));
}

#[test]
fn disks_of_an_operator_are_seen_and_keep_their_identity() {
    let text = "<disk type='block'><source dev='/dev/sdx'/><target dev='vdb' bus='virtio'/></disk>\
        <disk type='network' device='disk'><driver type='raw' cache='default'/>\
        <source protocol='rbd' name='pool/image'/><target dev='sdb' bus='usb'/><readonly/></disk>\
        <disk type='volume' device='lun'><source pool='p' volume='v'/><target dev='sdc' bus='scsi'/>\
        <alias name='ua-volume-scratch'/></disk>\
        <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>";
    let read = devices(text);
    let seen: Vec<_> =
        read.disks.iter().map(|at| (at.target.as_str(), at.disk.source.to_str().unwrap())).collect();
    assert_eq!(seen, [("vdb", "/dev/sdx"), ("sdb", "rbd:pool/image"), ("sdc", "p/v")]);
    assert_eq!(read.disks.iter().map(|at| at.readonly).collect::<Vec<_>>(), [false, true, false]);
    let buses: Vec<DiskBus> = read.disks.iter().map(|at| at.disk.bus).collect();
    assert_eq!(buses, [DiskBus::Virtio, DiskBus::Sata, DiskBus::Scsi]);
    for at in &read.disks {
        assert_eq!((at.disk.format, at.decided.mode), (Format::Raw, CacheMode::Writeback));
        assert_eq!(at.disk.id.0.get_version_num(), 5);
    }
    assert_ne!(read.disks[0].disk.id, read.disks[1].disk.id);
    assert_eq!(devices(text), read);
}

#[test]
fn drives_of_an_operator_get_numbers_that_are_free() {
    let drive = |target: &str, alias: &str| {
        format!(
            "<disk device='cdrom'><source file='/{target}.iso'/><target dev='{target}' bus='scsi'/>\
             <alias name='{alias}'/></disk>"
        )
    };
    let read = devices(&[drive("sda", "sata0-0-0"), drive("sdb", "ua-cdrom-0"), drive("sdc", "")].concat());
    let seen: Vec<_> = read.drives.iter().map(|at| (at.drive, at.target.as_str(), at.bus.as_str())).collect();
    assert_eq!(seen, [(0, "sdb", "scsi"), (1, "sda", "scsi"), (2, "sdc", "scsi")]);
    let media = read.drives[1].media.as_ref().unwrap();
    assert_eq!((media.to_str(), read.drives[1].mode()), (Some("/sda.iso"), CacheMode::Writeback));
}

#[test]
fn cards_on_networks_are_told_by_what_there_is() {
    let card = |source: &str, model: &str| {
        let mac = "<mac address='52:54:00:00:00:01'/>";
        let card = devices(&format!("<interface type='network'>{mac}{source}{model}</interface>"));
        (card.interfaces[0].bridge.clone(), card.interfaces[0].model)
    };
    let source = "<source network='default' bridge='virbr0'/>";
    assert_eq!(card(source, "<model type='virtio'/>"), ("virbr0".to_owned(), InterfaceModel::Virtio));
    assert_eq!(card("<source network='default'/>", ""), ("default".to_owned(), InterfaceModel::E1000));
    assert_eq!(card("", "<model type='rtl8139'/>"), (String::new(), InterfaceModel::E1000));
}

#[test]
fn sizes_are_read_in_every_unit() {
    let domain = |memory: &str, vcpu: &str| {
        format!(
            "<domain type='kvm'><name>n</name><uuid>00000000-0000-0000-0000-0000000000d0</uuid>{memory}{vcpu}\
             <os><loader type='pflash'>/o</loader></os><devices/></domain>"
        )
    };
    let bytes = |memory| read(&domain(memory, "<vcpu>1</vcpu>")).unwrap().memory_bytes;
    assert_eq!(bytes("<memory> 4 </memory>"), 4096);
    assert_eq!(bytes("<memory unit='MiB'>4</memory>"), 4 << 20);
    assert_eq!(bytes("<memory unit='G'>4</memory>"), 4 << 30);
    assert_eq!(bytes("<memory unit='MB'>4</memory>"), 4_000_000);
    let read = read(&domain("<memory>1</memory>", "<vcpu current='3'>8</vcpu>")).unwrap();
    assert_eq!((read.vcpus, read.accel, read.firmware), (3, Accel::Kvm, Firmware::Uefi));
}

#[test]
fn what_is_no_domain_is_refused_in_a_sentence() {
    for text in ["", "<domain", "<network/>", "<domain/>", "<domain><name/></domain>"] {
        let said = read(text).unwrap_err().to_string();
        assert!(said.starts_with("cannot read libvirt's description of a domain: "), "{said}");
    }
    let said = read(&HEAD.replace("00000000-", "zero-").replace("</os>", "</os></domain>")).unwrap_err();
    assert!(said.to_string().contains("`uuid` is missing or odd"), "{said}");
}
