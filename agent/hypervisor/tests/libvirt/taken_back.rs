//! A change of modes that QEMU says it has done, and whose descriptors say otherwise: the old modes come back, are in force and
//! are shown. Where they cannot be seen to be, that is told, and found out by whoever looks next.
//!
//! What the agent sees of QEMU's descriptors is a picture of them that a test takes at a moment of its choice.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::spec::{CacheMode, CacheRequest, DiskId};
use agent_hypervisor::{Attempt, Domains, Error};
use agent_libvirt::{Direction, Procedure, SeenFrame};
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, qemu_pid};

use super::direct_io::{holds, tell};
use super::live::{modes_to_libvirt, no_flush};
use super::room::{self, DIRECT, disk, guest, said, spec, start, virsh};

/// Where the agent looks for processes: a link to what it is to see.
const SEEN: &str = "/root/proc";

/// A picture of QEMU's descriptors as they are now.
fn take_picture(at: &Path) {
    let pid = qemu_pid("vm").unwrap().to_string();
    let (real, picture) = (Path::new("/proc").join(&pid), at.join(&pid));
    for folder in ["fd", "fdinfo"] {
        std::fs::create_dir_all(picture.join(folder)).unwrap();
    }
    std::fs::copy(real.join("cmdline"), picture.join("cmdline")).unwrap();
    for entry in std::fs::read_dir(real.join("fd")).unwrap() {
        let name = entry.unwrap().file_name();
        // What is closed meanwhile is no image.
        let Ok(file) = std::fs::read_link(real.join("fd").join(&name)) else { continue };
        let Ok(info) = std::fs::read(real.join("fdinfo").join(&name)) else { continue };
        symlink(file, picture.join("fd").join(&name)).unwrap();
        std::fs::write(picture.join("fdinfo").join(&name), info).unwrap();
    }
}

fn see(what: &Path) {
    let beside = Path::new("/root/proc.new");
    symlink(what, beside).unwrap();
    std::fs::rename(beside, SEEN).unwrap();
}

/// A hypervisor that sees `picture` from the answer on to the so-many-th command to QEMU's monitor.
async fn looking_at(picture: &'static Path, from: usize) -> Libvirt {
    see(Path::new("/proc"));
    let mut options = Options { proc: SEEN.into(), ..room::options() };
    let answers = AtomicUsize::new(0);
    options.connect.observer = Some(Arc::new(move |frame: SeenFrame| {
        if frame.known() == Some(Procedure::QemuDomainMonitorCommand)
            && frame.direction == Direction::In
            && answers.fetch_add(1, Ordering::SeqCst) + 1 == from
        {
            see(picture);
        }
    }));
    Libvirt::start(options)
}

#[test]
fn what_the_descriptors_do_not_show_is_taken_back() {
    room::run("what_the_descriptors_do_not_show_is_taken_back", &Inside::default(), async || {
        let first = room::libvirt();
        let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        vm.disks.push(disk(&guest(DIRECT, "data", Kind::Answering), CacheMode::None));
        start(&first, &vm).await.unwrap();
        said(&first, vm.uuid, "GUEST-UP").await;
        drop(first);
        let asked = |mode: CacheMode| -> [(DiskId, CacheRequest); 2] {
            [0, 1].map(|disk| (vm.disks[disk].id, CacheRequest::from(mode).accepting_loss()))
        };
        let old = Path::new("/root/old");
        take_picture(old);
        // The nodes; then of the first disk the change and its nodes; then of the second.
        for (from, target) in [(2, "vda"), (4, "vdb")] {
            for mode in [CacheMode::Writeback, CacheMode::Unsafe] {
                let libvirt = looking_at(old, from).await;
                let error = libvirt.change_cache(vm.uuid, &asked(mode), Attempt::First).await.unwrap_err();
                let sentence = error.to_string();
                let of = format!("change the cache mode of `{target}` of `vm` from `none` to `{mode}`");
                assert!(
                    sentence.contains(&of) && sentence.contains("is not open as it was asked for"),
                    "{sentence}"
                );
                assert!(!sentence.contains("may stay changed"), "{sentence}");
                // By what it sees, and by what is so.
                for libvirt in [libvirt, room::libvirt()] {
                    let now = libvirt.domain(vm.uuid).await.unwrap();
                    for (at, disk) in now.disks.iter().enumerate() {
                        holds(&disk.cache, CacheMode::None, CacheMode::None, &vm.disks[at].source);
                    }
                }
                assert!(!no_flush());
                assert_eq!(modes_to_libvirt(), [false; 2]);
                assert!(!virsh(["dumpxml", "vm"]).contains("changing"));
                tell(b'w', b'W');
            }
        }

        // Nothing is to be seen any more: neither that it was done nor that it was taken back.
        let blind = Path::new("/root/blind");
        std::fs::create_dir(blind).unwrap();
        let libvirt = looking_at(blind, 2).await;
        let error =
            libvirt.change_cache(vm.uuid, &asked(CacheMode::Writeback), Attempt::First).await.unwrap_err();
        let Error::Failed { cause, .. } = &error else { panic!("{error}") };
        assert!(cause.contains("`vda` may stay changed"), "{error}");
        drop(libvirt);
        let libvirt = room::libvirt();
        let now = libvirt.domain(vm.uuid).await.unwrap();
        for (at, disk) in now.disks.iter().enumerate() {
            holds(&disk.cache, CacheMode::None, CacheMode::None, &vm.disks[at].source);
        }
        assert!(!virsh(["dumpxml", "vm"]).contains("changing"));
        // And then it works.
        let now = libvirt.change_cache(vm.uuid, &asked(CacheMode::Writeback), Attempt::Again).await.unwrap();
        for (at, disk) in now.disks.iter().enumerate() {
            holds(&disk.cache, CacheMode::Writeback, CacheMode::Writeback, &vm.disks[at].source);
        }
        tell(b'w', b'W');
    });
}
