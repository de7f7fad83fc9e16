//! Cache modes where O_DIRECT is refused, and where it is not: on every way to a disk, judged by the guest, by the flags of
//! QEMU's descriptors and by the message of the refusal.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{CacheMode, CdromDrive, Media};
use agent_hypervisor::state::{Domain, Effective};
use agent_hypervisor::{Attempt, Domains, Error};
use xtask_testbed::Mount;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, qemu_pid};

use super::room::{self, DIRECT, RAM, disk, guest, said, spec, start, virsh};

fn ram() -> Inside {
    Inside { mounts: vec![Mount::ramfs(RAM)], ..Inside::default() }
}

/// Whether the process has the file open with O_DIRECT: `ls`-like, on its own.
fn open_direct(pid: u32, path: &Path) -> bool {
    let folder = format!("/proc/{pid}/fd");
    let fd = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        (std::fs::read_link(entry.path()).ok()? == path).then(|| entry.file_name().into_string().unwrap())
    });
    let fd = fd.last().unwrap_or_else(|| panic!("{} is not open", path.display()));
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
    u32::from_str_radix(flags, 8).unwrap() & 0o40000 != 0
}

/// Holds an effective mode to what was asked for and to the descriptors.
fn holds(cache: &Effective, mode: CacheMode, path: &Path) {
    let pid = qemu_pid("vm").unwrap();
    assert_eq!((cache.requested, cache.mode), (mode, mode), "{}", cache.reason);
    assert_eq!(cache.direct, Some(open_direct(pid, path)), "{}", cache.reason);
    assert_eq!(cache.direct, Some(mode.is_direct()), "{}", cache.reason);
    assert!(cache.reason.contains(&format!("QEMU (process {pid})")), "{}", cache.reason);
}

/// Types on the guest's serial line and waits for an answer.
fn tell(letter: u8, answer: u8) {
    let pty = virsh(["ttyconsole", "vm"]);
    let mut line = std::fs::OpenOptions::new().read(true).write(true).open(pty).unwrap();
    line.write_all(&[letter]).unwrap();
    let mut bytes = Vec::new();
    BufReader::new(line).read_until(answer, &mut bytes).unwrap();
    assert!(!bytes.contains(&b'E'), "the guest could not write: {}", String::from_utf8_lossy(&bytes));
}

async fn remove(libvirt: &impl Domains, vm: &Domain) {
    if vm.state.is_active() {
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
    }
    libvirt.undefine(vm.uuid, Attempt::First).await.unwrap();
}

fn is_refusal(error: &Error, mode: CacheMode, path: &Path) {
    let Error::DirectIo { path: named, mode: of, qemu } = error else { panic!("{error}") };
    assert_eq!((named.as_path(), *of), (path, mode));
    assert_eq!(*qemu, format!("Could not open '{}': filesystem does not support O_DIRECT", path.display()));
    assert!(error.to_string().contains("open it with a buffered cache mode such as `writeback`"), "{error}");
}

#[test]
fn a_guest_on_ramfs_starts_and_writes_unless_its_mode_needs_o_direct() {
    room::run("a_guest_on_ramfs_starts_and_writes_unless_its_mode_needs_o_direct", &ram(), async || {
        let libvirt = room::libvirt();
        for mode in CacheMode::ALL.iter().copied() {
            let path = guest(RAM, mode.as_str(), Kind::Answering);
            let vm = spec("vm", disk(&path, mode));
            let started = start(&libvirt, &vm).await;
            if mode.is_direct() {
                is_refusal(&started.unwrap_err(), mode, &path);
                let off = libvirt.domain(vm.uuid).await.unwrap();
                assert!(!off.state.is_active());
                remove(&libvirt, &off).await;
                continue;
            }
            let started = started.unwrap();
            holds(&started.disks[0].cache, mode, &path);
            said(&libvirt, vm.uuid, "GUEST-UP").await;
            let before = std::fs::read(&path).unwrap();
            tell(b'w', b'W');
            let after = std::fs::read(&path).unwrap();
            assert!(before != after, "nothing was written with {mode}");
            let now = libvirt.domain(vm.uuid).await.unwrap();
            assert_eq!(now.taints, [] as [String; 0]);
            remove(&libvirt, &now).await;
        }
    });
}

#[test]
fn a_disk_attached_from_ramfs_obeys_its_mode_too() {
    room::run("a_disk_attached_from_ramfs_obeys_its_mode_too", &ram(), async || {
        let libvirt = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        holds(&start(&libvirt, &vm).await.unwrap().disks[0].cache, CacheMode::None, &vm.disks[0].source);
        for mode in CacheMode::ALL.iter().copied() {
            let path = guest(RAM, mode.as_str(), Kind::Answering);
            let attached = libvirt.attach_disk(vm.uuid, &disk(&path, mode), Attempt::First).await;
            if mode.is_direct() {
                is_refusal(&attached.unwrap_err(), mode, &path);
                let paths = libvirt.domain(vm.uuid).await.unwrap().disks;
                assert!(paths.iter().all(|disk| disk.source != path), "half attached");
            } else {
                let attached = attached.unwrap();
                holds(&attached.disks.iter().find(|disk| disk.source == path).unwrap().cache, mode, &path);
            }
        }
        // And still after QEMU has been started anew.
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
        let again = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
        assert_eq!(again.disks.len(), 4);
        for disk in &again.disks {
            let mode = disk.cache.requested;
            holds(&disk.cache, mode, &disk.source);
            assert!(disk.source == vm.disks[0].source || disk.source.ends_with(format!("{mode}.raw")));
        }
        assert_eq!(again.taints, [] as [String; 0]);
    });
}

#[test]
fn every_way_to_a_disk_carries_its_mode() {
    room::run("every_way_to_a_disk_carries_its_mode", &Inside::default(), async || {
        let libvirt = room::libvirt();
        for mode in CacheMode::ALL.iter().copied() {
            let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), mode));
            vm.disks.push(disk(&guest(DIRECT, "data", Kind::Answering), mode));
            vm.cdroms = vec![CdromDrive { cache: mode, media: Some(guest(DIRECT, "cd", Kind::Answering)) }];
            let mut now = start(&libvirt, &vm).await.unwrap();
            let hot = disk(&guest(DIRECT, "hot", Kind::Answering), mode);
            let check = |now: &Domain, disks: usize| {
                assert_eq!(now.disks.len(), disks);
                for disk in &now.disks {
                    holds(&disk.cache, mode, &disk.source);
                }
                let media = now.cdroms[0].media.as_ref().unwrap();
                holds(&media.cache, mode, &media.source);
            };
            check(&now, 2);
            now = libvirt.attach_disk(vm.uuid, &hot, Attempt::First).await.unwrap();
            check(&now, 3);
            libvirt.eject_media(vm.uuid, 0, Attempt::First).await.unwrap();
            let other = Media { source: guest(DIRECT, "cd2", Kind::Answering), cache: mode };
            now = libvirt.insert_media(vm.uuid, 0, &other, Attempt::First).await.unwrap();
            check(&now, 3);
            now = libvirt.act(vm.uuid, Action::Reset, Attempt::First).await.unwrap();
            check(&now, 3);
            libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
            now = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
            check(&now, 3);
            assert_eq!(now.taints, [] as [String; 0]);
            remove(&libvirt, &now).await;
        }
    });
}

#[test]
fn a_mode_changed_behind_the_agent_is_told_as_it_is() {
    room::run("a_mode_changed_behind_the_agent_is_told_as_it_is", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let path = guest(DIRECT, "vm", Kind::Answering);
        let vm = spec("vm", disk(&path, CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        let node = |name: &str, driver: &str, more: &str| {
            format!(
                r#"{{"driver":"{driver}","node-name":"{name}","cache":{{"direct":false,"no-flush":false}},{more}}}"#
            )
        };
        let storage = format!(r#""filename":"{}","auto-read-only":true,"discard":"unmap""#, path.display());
        let nodes = [
            node("libvirt-1-storage", "file", &storage),
            node(
                "libvirt-1-format",
                "raw",
                r#""read-only":false,"discard":"unmap","file":"libvirt-1-storage""#,
            ),
        ];
        let command = format!(
            r#"{{"execute":"blockdev-reopen","arguments":{{"options":[{},{}]}}}}"#,
            nodes[0], nodes[1]
        );
        let answer = virsh(["qemu-monitor-command", "vm", &command]);
        assert!(!answer.contains("error"), "{answer}");
        let cache = &libvirt.domain(vm.uuid).await.unwrap().disks[0].cache;
        assert_eq!(
            (cache.requested, cache.mode, cache.direct),
            (CacheMode::None, CacheMode::Writeback, Some(false))
        );
        assert!(cache.reason.contains("changed while the domain ran"), "{}", cache.reason);
    });
}
