//! Guests that come up with what the golden files describe: firmware finds the root disk whatever else there is, what the
//! guest says is kept, and it turns itself off when its power button is pressed.

use std::path::Path;
use std::time::{Duration, Instant};

use agent_hypervisor::spec::{Firmware, Format};
use xtask_testbed::RootClone;
use xtask_testbed::guest::{self, BANNER, Kind};
use xtask_testbed::libvirt::Libvirtd;

use crate::room::{file, make_images, root, start};
use crate::specs::{Case, all};

/// How long a guest may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Those that need neither KVM nor a network to boot from, nor more than a boot sector.
const BOOTING: &[&str] = &[
    "minimal",
    "linux",
    "windows",
    "i440fx",
    "many-disks",
    "many-disks-scsi",
    "many-disks-sata",
    "many-disks-i440fx",
    "overlay",
    "escaped",
];

#[test]
fn guests_come_up_and_turn_themselves_off() {
    let cases: Vec<Case> = all().into_iter().filter(|case| BOOTING.contains(&case.name)).collect();
    assert_eq!(cases.len(), BOOTING.len());
    let clone = root();
    make_images(&clone, &cases);
    let libvirtd = start(&clone);
    for case in &cases {
        make_bootable(&clone, case);
        libvirtd.virsh(["define", &file(case)]).unwrap();
        libvirtd.virsh(["start", case.name]).unwrap();
        let log = clone_path(&libvirtd, &case.host.console_log);
        wait(case.name, "says nothing", || {
            std::fs::read_to_string(&log).unwrap_or_default().contains(BANNER.trim())
        });
        libvirtd.virsh(["shutdown", "--mode", "acpi", case.name]).unwrap();
        wait(case.name, "stays on", || libvirtd.virsh(["domstate", case.name]).unwrap() == "shut off");
    }
}

/// With nothing that it can boot, UEFI says so on the serial line.
#[test]
fn uefi_comes_up() {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.spec.firmware == Firmware::Uefi).collect();
    let clone = root();
    make_images(&clone, &cases);
    let libvirtd = start(&clone);
    for case in &cases {
        libvirtd.virsh(["define", &file(case)]).unwrap();
        libvirtd.virsh(["start", case.name]).unwrap();
        let log = clone_path(&libvirtd, &case.host.console_log);
        wait(case.name, "says nothing", || {
            String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).contains("BdsDxe")
        });
        libvirtd.virsh(["destroy", case.name]).unwrap();
    }
}

/// Puts the guest onto the root disk; that of `overlay` lies on an image, which has it.
fn make_bootable(clone: &RootClone, case: &Case) {
    let root = &case.spec.disks[0];
    assert_eq!(root.format, Format::Qcow2);
    let image = Path::new("/var/lib/cairn/images/guest.raw");
    clone.write(image, 0o644, guest::disk(Kind::Answering)).unwrap();
    let (image, source) = (image.to_str().unwrap(), root.source.to_str().unwrap());
    let make = match case.name {
        "overlay" => vec!["create", "-f", "qcow2", "-b", image, "-F", "raw", source],
        _ => vec!["convert", "-f", "raw", "-O", "qcow2", image, source],
    };
    clone.run(xtask_testbed::Invocation::new("qemu-img").args(make)).unwrap().checked().unwrap();
}

fn clone_path(libvirtd: &Libvirtd<'_>, path: &Path) -> std::path::PathBuf {
    libvirtd.room().path().join(path.strip_prefix("/").unwrap())
}

fn wait(name: &str, otherwise: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "{name} {otherwise}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
