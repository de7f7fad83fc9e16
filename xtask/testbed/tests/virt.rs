//! The root with QEMU and libvirt: that libvirt really starts domains on it, in a machine and in a room.

mod support;

use std::os::unix::net::UnixStream;
use std::time::Duration;
use support::{left_over, testbed};
use xtask_testbed::libvirt::{self, Libvirtd};
use xtask_testbed::{Device, Invocation, Machine, MachineOptions, Mount};

/// Creates the transient domain `probe`, paused, with an empty disk. $1: type, $2: cache mode, $3: the disk's
/// folder.
const START: &str = r#"
set -eu
qemu-img create -q -f qcow2 "$3/disk.qcow2" 16M
chmod 666 "$3/disk.qcow2"
cat > /root/probe.xml <<XML
<domain type='$1'><name>probe</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='$2'/><source file='$3/disk.qcow2'/>
<target dev='vda' bus='virtio'/></disk><memballoon model='none'/></devices></domain>
XML
virsh --quiet create --paused /root/probe.xml
virsh qemu-monitor-command probe '{"execute":"query-block"}'
virsh --quiet destroy probe
"#;

/// Waits for QEMU's complaint.
const LOGGED: &str = "until grep -q \"/mnt/disk.qcow2': filesystem does not support O_DIRECT\" \
                      /var/log/libvirt/qemu/probe.log; do sleep 0.05; done";

fn options(devices: Vec<Device>) -> MachineOptions {
    MachineOptions { devices, ..Default::default() }
}

fn start(kind: &str, cache: &str, folder: &str) -> Invocation {
    Invocation::sh(START).args([kind, cache, folder]).limit(Duration::from_secs(300))
}

#[test]
fn a_machine_starts_domains_and_a_file_system_without_o_direct_refuses_them() {
    let virt = testbed().virt(&|line| eprintln!("{line}")).expect("the root");
    let machine = Machine::boot(&virt, options(vec![Device::Kvm, Device::Tun])).expect("boot");
    machine
        .run(["mount", "-t", "ramfs", "-o", "mode=777", "ramfs", "/mnt"])
        .expect("run")
        .checked()
        .expect("ramfs");
    let kind = if std::fs::exists("/dev/kvm").expect("look") { "kvm" } else { "qemu" };
    for (kind, cache, folder, direct) in
        [("qemu", "none", "/var/lib/libvirt/images", true), (kind, "writeback", "/mnt", false)]
    {
        let block = machine.run(start(kind, cache, folder)).expect("run").checked().expect("started");
        let said = format!("\"direct\":{direct}");
        assert!(block.stdout_text().contains(&said), "{kind} {cache}: {}", block.stdout_text());
    }
    assert!(!machine.run(start("qemu", "none", "/mnt")).expect("run").success());
    // libvirt's own message has QEMU's last words only if it came to read them in time; QEMU's log has them always.
    machine.run(Invocation::sh(LOGGED).limit(Duration::from_secs(60))).expect("the refusal in QEMU's log");
    UnixStream::connect(machine.path().join("run/libvirt/libvirt-sock"))
        .expect("libvirt's socket from outside");
    let net = machine.run(["virsh", "net-start", "default"]).expect("run").checked().expect("its network");
    assert!(net.stdout_text().contains("started"));
    let name = machine.name().to_owned();
    drop(machine);
    assert_eq!(left_over(&name), Vec::<String>::new());
}

#[test]
fn a_room_runs_libvirt_without_systemd() {
    let virt = testbed().virt(&|line| eprintln!("{line}")).expect("the root");
    let clone = libvirt::clone(&virt).expect("clone");
    let libvirtd = Libvirtd::start(&clone, &[Mount::ramfs("/mnt"), Device::Kvm.into()]).expect("libvirtd");
    let room = libvirtd.room();
    room.run(start("qemu", "none", "/var/lib/libvirt/images")).expect("run").checked().expect("started");
    room.run(start("qemu", "writethrough", "/mnt")).expect("run").checked().expect("started");
    assert!(!room.run(start("qemu", "directsync", "/mnt")).expect("run").success());
    room.run(Invocation::sh(LOGGED).limit(Duration::from_secs(60))).expect("the refusal in QEMU's log");
    UnixStream::connect(room.path().join("run/libvirt/libvirt-sock")).expect("libvirt's socket from outside");
    let name = clone.name().to_owned();
    drop(libvirtd);
    drop(clone);
    assert_eq!(left_over(&name), Vec::<String>::new());
}
