//! A Linux guest, which has drivers and a mind of its own: it writes, lets go of disks, and takes its power button.

use std::os::unix::fs::FileExt;
use std::path::Path;

use agent_hypervisor::lifecycle::Action;
use agent_hypervisor::spec::{CacheMode, Firmware, Format, Machine};
use agent_hypervisor::state::State;
use agent_hypervisor::{Attempt, Domains, Storage};
use xtask_testbed::libvirt::Inside;
use xtask_testbed::{LinuxGuest, LinuxOptions, Mount, Write};

use super::room::{self, PATIENCE, RAM, disk, said, spec, start};

const ROOT: &str = "/srv/linux.raw";

/// A guest that writes to a second disk as soon as it sees it.
fn linux() -> Inside {
    let write = Write { disk: "vdb".to_owned(), block: 1 };
    let options = LinuxOptions { write: Some(write), ..LinuxOptions::default() };
    Inside { linux_disks: vec![(ROOT.into(), options)], mounts: vec![Mount::ramfs(RAM)], ..Inside::default() }
}

/// The block that the guest writes.
fn block(path: &Path) -> Vec<u8> {
    let mut block = vec![0; 4096];
    std::fs::File::open(path).unwrap().read_exact_at(&mut block, 4096).unwrap();
    block
}

/// From its start to its power button, with a disk that comes and goes, on a file system without O_DIRECT.
async fn lives(machine: Machine, firmware: Firmware, memory_bytes: u64, cache: CacheMode) {
    let libvirt = room::libvirt();
    let mut vm = spec("linux", disk(Path::new(ROOT), CacheMode::Writeback));
    (vm.machine, vm.firmware, vm.memory_bytes) = (machine, firmware, memory_bytes);
    start(&libvirt, &vm).await.unwrap();
    said(&libvirt, vm.uuid, LinuxGuest::BANNER).await;

    let data = Path::new(RAM).join("data.raw");
    std::fs::write(&data, vec![0; 1 << 20]).unwrap();
    let data_disk = disk(&data, cache);
    let attached = libvirt.attach_disk(vm.uuid, &data_disk, Attempt::First).await.unwrap();
    assert_eq!((attached.disks[1].cache.mode, attached.disks[1].cache.direct), (cache, Some(false)));
    said(&libvirt, vm.uuid, "WROTE vdb").await;
    let expected: Vec<u8> = LinuxGuest::WRITTEN.bytes().cycle().take(4096).collect();
    assert_eq!(block(&data), expected);
    libvirt.resize_volume(&data, Format::Raw, 2 << 20, Attempt::First).await.unwrap();
    said(&libvirt, vm.uuid, "DISK vdb 2097152").await;
    let detached = libvirt.detach_disk(vm.uuid, data_disk.id, Attempt::First).await.unwrap();
    assert_eq!((detached.disks.len(), detached.taints.as_slice()), (1, [].as_slice()));
    said(&libvirt, vm.uuid, "DISK vdb gone").await;
    libvirt.delete_volume(&data, Attempt::First).await.unwrap();

    let off = libvirt.act(vm.uuid, Action::Shutdown { patience: PATIENCE }, Attempt::First).await.unwrap();
    assert_eq!(off.state, State::Shutoff);
    said(&libvirt, vm.uuid, "LINUX-DOWN").await;
}

#[test]
fn linux_lives_on_q35() {
    room::run("linux_lives_on_q35", &linux(), async || {
        lives(Machine::Q35, Firmware::Bios, 192 << 20, CacheMode::Writethrough).await;
    });
}

#[test]
fn linux_lives_on_i440fx() {
    room::run("linux_lives_on_i440fx", &linux(), async || {
        lives(Machine::I440fx, Firmware::Bios, 192 << 20, CacheMode::Writeback).await;
    });
}

#[test]
fn linux_lives_on_uefi() {
    room::run("linux_lives_on_uefi", &linux(), async || {
        lives(Machine::Q35, Firmware::Uefi, 512 << 20, CacheMode::Unsafe).await;
    });
}
