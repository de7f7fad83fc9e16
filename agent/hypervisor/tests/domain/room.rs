//! libvirt in a room, with the golden files and what they name.

use agent_hypervisor::domain::{Described, read};
use xtask_testbed::libvirt::{Libvirtd, clone};
use xtask_testbed::{Device, Mount, RootClone, Testbed};

use crate::specs::{Case, all, golden};

/// A root with the golden files.
pub fn root() -> RootClone {
    let virt = Testbed::from_env().unwrap().virt(&|line| eprintln!("{line}")).unwrap();
    let clone = clone(&virt).unwrap();
    for case in all() {
        clone.copy_in(golden(case.name), file(&case), 0o644).unwrap();
    }
    clone
}

/// libvirt in it, with a bridge and a place for logs.
pub fn start(clone: &RootClone) -> Libvirtd<'_> {
    let libvirtd = Libvirtd::start(clone, &[Mount::from(Device::Kvm), Mount::from(Device::Tun)]).unwrap();
    run(&libvirtd, ["mkdir", "--parents", "/var/log/cairn/console"]);
    run(&libvirtd, ["ip", "link", "add", "cairn0", "type", "bridge"]);
    libvirtd
}

/// Runs a command, which must not fail.
pub fn run<const N: usize>(libvirtd: &Libvirtd<'_>, words: [&str; N]) {
    libvirtd.room().run(words).unwrap().checked().unwrap();
}

/// Where a golden file lies.
pub fn file(case: &Case) -> String {
    format!("/root/{}.xml", case.name)
}

/// What is read from what libvirt says.
pub fn described(libvirtd: &Libvirtd<'_>, options: &[&str], name: &str) -> Described {
    let words = ["dumpxml"].iter().chain(options).chain([&name]).copied();
    read(&libvirtd.virsh(words).unwrap()).unwrap()
}

/// Writes an empty image wherever one of these domains looks for one.
pub fn make_images(clone: &RootClone, cases: &[Case]) {
    clone.run(["qemu-img", "create", "-f", "qcow2", "/root/empty.qcow2", "1M"]).unwrap().checked().unwrap();
    let empty = clone.read("/root/empty.qcow2").unwrap();
    for case in cases {
        let disks = case.spec.disks.iter().map(|disk| &disk.source);
        let media = case.spec.cdroms.iter().filter_map(|drive| drive.media.as_ref());
        for path in disks.chain(media) {
            clone.write(path, 0o644, &empty).unwrap();
        }
    }
}
