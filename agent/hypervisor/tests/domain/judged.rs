//! What libvirt says to the golden files: its schema, libvirt itself when it defines and starts them, and what is read
//! from what it keeps.

use agent_hypervisor::cache::Decision;
use agent_hypervisor::domain::{Described, DiskAt, Since, disk_xml, free_target};
use agent_hypervisor::spec::{Accel, CacheMode, Disk, DiskBus, DiskId};
use uuid::Uuid;

use crate::room::{described, file, make_images, root, run, start};
use crate::specs::{Case, all, expected};

/// Where a test leaves a description for `virsh`.
const DEVICE: &str = "/root/device.xml";

#[test]
fn libvirt_takes_every_golden_file_and_gives_back_what_was_asked_for() {
    let clone = root();
    let libvirtd = start(&clone);
    for case in all() {
        let name = case.name;
        run(&libvirtd, ["virt-xml-validate", &file(&case), "domain"]);
        match libvirtd.virsh(["define", "--validate", &file(&case)]) {
            // Without KVM, libvirt takes no domain of that type: then the schema has to do.
            Err(error) if case.host.accel == Accel::Kvm && std::fs::File::open("/dev/kvm").is_err() => {
                assert!(format!("{error:#}").contains("does not support virt type 'kvm'"), "{error:#}");
            }
            defined => {
                defined.unwrap();
                let kept = described(&libvirtd, &["--inactive"], name);
                assert_eq!(kept, expected(&case.spec, &case.host), "{name}");
                libvirtd.virsh(["undefine", "--nvram", name]).unwrap();
            }
        }
    }
}

/// With KVM, what starts depends on the machine: those without are started.
#[test]
fn what_was_asked_for_is_what_starts() {
    let clone = root();
    let cases: Vec<Case> = all().into_iter().filter(|case| case.host.accel == Accel::Tcg).collect();
    make_images(&clone, &cases);
    let libvirtd = start(&clone);
    for case in cases {
        let name = case.name;
        libvirtd.virsh(["define", &file(&case)]).unwrap();
        libvirtd.virsh(["start", "--paused", name]).unwrap();
        let live = described(&libvirtd, &[], name);
        let socket = live.vnc_socket.clone().unwrap();
        run(&libvirtd, ["test", "-S", socket.to_str().unwrap()]);
        let wanted = expected(&case.spec, &case.host);
        assert_eq!(Described { vnc_socket: None, ..live }, wanted, "{name}");
        assert!(!libvirtd.virsh(["dominfo", name]).unwrap().contains("tainted"), "{name}");
        libvirtd.virsh(["destroy", name]).unwrap();
    }
}

#[test]
fn a_running_domain_takes_disks() {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.name == "cdrom").collect();
    let [case] = &cases[..] else { panic!("one case") };
    let clone = root();
    make_images(&clone, &cases);
    let empty = clone.read("/root/empty.qcow2").unwrap();
    let libvirtd = start(&clone);
    let name = case.name;
    libvirtd.virsh(["define", &file(case)]).unwrap();
    libvirtd.virsh(["start", "--paused", name]).unwrap();
    let change = |verb: &str, xml: &str, options: &[&str]| {
        clone.write(DEVICE, 0o644, xml).unwrap();
        libvirtd.virsh([verb, name, DEVICE].iter().chain(options))
    };
    let both = || [described(&libvirtd, &[], name), described(&libvirtd, &["--inactive"], name)];

    // As many disks as there are ports to spare; and SCSI disks, of which libvirt would put seven onto a controller.
    let buses = [[DiskBus::Virtio; 8], [DiskBus::Scsi; 8]].concat();
    let mut attached: Vec<DiskAt> = Vec::new();
    for (number, bus) in (0x50..).zip(buses) {
        let source = format!("/var/lib/cairn/volumes/hot {number}.qcow2");
        clone.write(&source, 0o644, &empty).unwrap();
        let before = described(&libvirtd, &[], name);
        let disks = before.disks.iter().map(|at| at.target.as_str());
        let target = free_target(bus, disks.chain(before.drives.iter().map(|at| at.target.as_str())));
        let (id, decided) = (DiskId(Uuid::from_u128(number)), Decision::explicit(CacheMode::Directsync));
        let cache = decided.choice.into();
        let disk = Disk { id, source: source.into(), bus, cache, ..case.spec.disks[0].clone() };
        let at = DiskAt { disk, target, readonly: false, shareable: false, decided, since: Since::default() };
        change("attach-device", &disk_xml(&at).unwrap(), &["--live", "--config"]).unwrap();
        attached.push(at);
    }
    assert_eq!(
        attached.iter().map(|at| at.target.as_str()).collect::<Vec<_>>()[7..10],
        ["vdi", "sdc", "sdd"]
    );
    for seen in both() {
        assert_eq!(seen.disks[1..], attached);
    }
    let scsi = libvirtd.virsh(["dumpxml", name]).unwrap();
    assert_eq!(scsi.matches("<controller type='scsi'").count(), 1, "{scsi}");

    // A disk of an operator's, elsewhere than ours would be, has an identity that stays, and can be taken away.
    let path = "/var/lib/cairn/volumes/operator.qcow2";
    clone.write(path, 0o644, &empty).unwrap();
    let attach = ["attach-disk", name, path, "sdq", "--targetbus", "scsi", "--address", "scsi:0.0.40"];
    libvirtd.virsh([&attach[..], &["--subdriver", "qcow2", "--live", "--config"]].concat()).unwrap();
    let [live, kept] = both().map(|seen| seen.disks.last().cloned().unwrap());
    assert_eq!((live.target.as_str(), live.disk.source.to_str(), &live), ("sdq", Some(path), &kept));
    assert_eq!(live.disk.id.0, Uuid::new_v5(&case.spec.uuid, b"sdq"));
    change("detach-device", &disk_xml(&live).unwrap(), &["--live", "--config"]).unwrap();
    for seen in both() {
        assert_eq!(seen.disks[1..], attached);
    }
}
