//! The Linux guest, under libvirt: by BIOS on both machine types, and by UEFI.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};
use xtask_testbed::libvirt::{Inside, inside, virsh};
use xtask_testbed::{Device, LinuxGuest, LinuxOptions, Power, Testbed, Write};

const DISK: &str = "/var/lib/libvirt/images/linux.raw";

const SOCKET: &str = "/run/linux.sock";

/// Where QEMU, which is not the superuser, may go.
const MORE: &str = "/var/lib/libvirt/images/more.raw";

const SERIAL: &str = "/var/log/libvirt/linux.log";

/// How long it may take to come up on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(100);

fn options(linux: LinuxOptions) -> Inside {
    Inside { linux_disks: vec![(DISK.into(), linux)], mounts: vec![Device::Tun.into()], ..Inside::default() }
}

/// Starts it as the transient domain `linux`, with its disk on this bus.
fn start(machine: &str, firmware: &str, bus: &str, devices: &str) {
    let memory = if firmware.is_empty() { 192 } else { 512 };
    let target = if bus == "ide" { "hda" } else { "vda" };
    let xml = format!(
        "<domain type='qemu'><name>linux</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os {firmware}><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features><devices>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{DISK}'/>
<target dev='{target}' bus='{bus}'/></disk><serial type='unix'><source mode='bind' path='{SOCKET}'/>
<log file='{SERIAL}'/></serial>
{devices}</devices></domain>"
    );
    std::fs::write("/root/linux.xml", xml).expect("definition");
    virsh(["create", "/root/linux.xml"]).expect("started");
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "no {what}; its serial line has:\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn log() -> String {
    String::from_utf8_lossy(&std::fs::read(SERIAL).expect("its serial line")).into_owned()
}

/// Waits until its serial line has a line that starts so, and returns that line.
fn said(start: &str) -> String {
    let line = || log().lines().find(|line| line.starts_with(start)).map(|line| line.trim_end().to_owned());
    until(&format!("`{start}`"), || line().is_some());
    line().expect("it is still there")
}

fn block(file: &str, number: u64) -> Vec<u8> {
    let mut block = vec![0; 4096];
    File::open(file).expect(file).read_exact_at(&mut block, number * 4096).expect(file);
    block
}

fn written() -> Vec<u8> {
    LinuxGuest::WRITTEN.bytes().cycle().take(4096).collect()
}

fn ip(words: &[&str]) {
    assert!(Command::new("ip").args(words).status().expect("ip").success(), "ip {words:?}");
}

#[test]
fn it_boots_by_bios_sees_what_comes_and_goes_and_answers_its_power_button() {
    let write = Write { disk: "vdb".to_owned(), block: 1 };
    let options = options(LinuxOptions { write: Some(write), ..LinuxOptions::default() });
    inside("it_boots_by_bios_sees_what_comes_and_goes_and_answers_its_power_button", &options, || {
        ip(&["link", "add", "br0", "type", "bridge"]);
        ip(&["addr", "add", "fe80::1/64", "dev", "br0", "nodad"]);
        ip(&["link", "set", "br0", "up"]);
        start(
            "pc",
            "",
            "virtio",
            "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>
             <model type='virtio'/></interface>",
        );
        assert_eq!(said("DISK vda"), format!("DISK vda {}", 40 << 20));
        assert_eq!(said("NET eth0"), "NET eth0 52:54:00:00:00:01");
        assert!(said(LinuxGuest::BANNER).contains("-cloud-amd64"));

        File::create(MORE).expect("file").set_len(1 << 20).expect("length");
        virsh(["attach-disk", "linux", MORE, "vdb", "--targetbus", "virtio"]).expect("attached");
        assert_eq!(said("DISK vdb"), format!("DISK vdb {}", 1 << 20));
        said("WROTE vdb");
        assert_eq!(block(MORE, 1), written());
        assert!(block(MORE, 0).iter().chain(&block(MORE, 2)).all(|&byte| byte == 0));
        virsh(["blockresize", "linux", MORE, "2MiB"]).expect("grown");
        said(&format!("DISK vdb {}", 2 << 20));
        virsh(["detach-disk", "linux", "vdb"]).expect("detached");
        said("DISK vdb gone");

        // Its link-local address comes from its MAC.
        let ping = ["ping6", "-c", "1", "-W", "1", "fe80::5054:ff:fe00:1%br0"];
        until("an answer to a ping", || {
            Command::new("busybox").args(ping).output().expect("ping").status.success()
        });

        virsh(["shutdown", "linux", "--mode", "acpi"]).expect("asked");
        said("LINUX-DOWN");
        until("end", || virsh(["domstate", "linux"]).is_err());
    });
}

#[test]
fn it_boots_by_uefi_and_writes_to_its_own_disk() {
    let write = Write { disk: "vda".to_owned(), block: 128 };
    let options = options(LinuxOptions { write: Some(write), power: Power::Deaf, shell: false });
    inside("it_boots_by_uefi_and_writes_to_its_own_disk", &options, || {
        start("q35", "firmware='efi'", "virtio", "");
        said("WROTE vda");
        said(LinuxGuest::BANNER);
        assert_eq!(block(DISK, 128), written());
        virsh(["shutdown", "linux", "--mode", "acpi"]).expect("asked");
        virsh(["destroy", "linux"]).expect("it is still there");
        assert!(!log().contains("LINUX-DOWN"));
    });
}

#[test]
fn it_boots_from_an_ide_disk_and_takes_commands() {
    let options = options(LinuxOptions { shell: true, ..LinuxOptions::default() });
    inside("it_boots_from_an_ide_disk_and_takes_commands", &options, || {
        start("pc", "", "ide", "");
        said("DISK sda");
        said(LinuxGuest::BANNER);
        let mut line = UnixStream::connect(SOCKET).expect("its serial line");
        line.write_all(b"echo six times nine: $((6 * 9)); false\n").expect("typed");
        said("six times nine: 54");
        said("DONE 1");
    });
}

#[test]
fn a_kernel_and_a_ram_disk_are_there_too() {
    let guest =
        Testbed::from_env().expect("a testbed").linux_guest(&|line| eprintln!("{line}")).expect("the guest");
    assert!(guest.kernel().is_file() && guest.initrd().is_file());
    assert_eq!(guest.command_line(&LinuxOptions::default()).trim_end(), "console=ttyS0 quiet");
}
