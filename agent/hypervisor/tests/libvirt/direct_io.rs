//! Cache modes where O_DIRECT is refused, and where it is not: on every way to a disk, judged by the guest, by the flags of
//! QEMU's descriptors and by the message of the refusal.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;

use agent_hypervisor::cache::CachePlan;
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{CacheChoice, CacheMode, CacheRequest, CdromDrive};
use agent_hypervisor::state::{Domain, Effective};
use agent_hypervisor::{Attempt, Domains, Error, Kind as ErrorKind};
use xtask_testbed::Mount;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, kill_libvirtd, qemu_pid, start_libvirtd};

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
pub fn holds(cache: &Effective, choice: impl Into<CacheChoice>, mode: CacheMode, path: &Path) {
    let pid = qemu_pid("vm").unwrap();
    assert_eq!((cache.requested, cache.mode), (choice.into(), mode), "{}", cache.reason);
    assert_eq!(cache.direct, Some(open_direct(pid, path)), "{}", cache.reason);
    assert_eq!(cache.direct, Some(mode.is_direct()), "{}", cache.reason);
    assert!(cache.reason.contains(&format!("QEMU (process {pid})")), "{}", cache.reason);
}

/// That nobody has used QEMU's monitor: by the agent's word, by `virsh`, and by QEMU's log.
fn untainted(now: &Domain) {
    assert_eq!(now.taints, [] as [String; 0]);
    let told = virsh(["dominfo", &now.name]);
    assert!(!told.contains("tainted"), "{told}");
    let log = std::fs::read_to_string(format!("/var/log/libvirt/qemu/{}.log", now.name)).unwrap();
    assert!(!log.contains("custom-monitor"), "{log}");
}

/// Types on the guest's serial line and waits for an answer.
pub fn tell(letter: u8, answer: u8) {
    let pty = virsh(["ttyconsole", "vm"]);
    let mut line = std::fs::OpenOptions::new().read(true).write(true).open(pty).unwrap();
    line.write_all(&[letter]).unwrap();
    let mut bytes = Vec::new();
    BufReader::new(line).read_until(answer, &mut bytes).unwrap();
    assert!(!bytes.contains(&b'E'), "the guest could not write: {}", String::from_utf8_lossy(&bytes));
}

pub async fn remove(libvirt: &impl Domains, vm: &Domain) {
    if vm.state.is_active() {
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
    }
    libvirt.undefine(vm.uuid, Attempt::First).await.unwrap();
}

fn is_refusal(error: &Error, mode: CacheMode, path: &Path) {
    let sentence = format!(
        "`{}` cannot be opened with cache mode `{mode}`: `{RAM}` (ramfs) refuses O_DIRECT (Invalid argument); ask for `auto` \
         or `writeback`, or move it to a file system that supports O_DIRECT",
        path.display()
    );
    assert_eq!((error.to_string(), error.kind()), (sentence, ErrorKind::DirectIo));
}

/// Checks that nobody who looked left anything.
pub fn nothing_left() {
    for folder in [DIRECT, RAM] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with(".cairn"), "`{name}` is left in `{folder}`");
        }
    }
}

#[test]
fn a_guest_on_ramfs_starts_and_writes_unless_its_mode_needs_o_direct() {
    room::run("a_guest_on_ramfs_starts_and_writes_unless_its_mode_needs_o_direct", &ram(), async || {
        let libvirt = room::libvirt();
        for choice in CacheChoice::ALL.iter().copied() {
            let path = guest(RAM, choice.as_str(), Kind::Answering);
            let vm = spec("vm", disk(&path, choice));
            let started = start(&libvirt, &vm).await;
            let mode = match choice {
                CacheChoice::Auto => CacheMode::Writeback,
                explicit => explicit.as_str().parse().unwrap(),
            };
            if mode.is_direct() {
                is_refusal(&started.unwrap_err(), mode, &path);
                assert_eq!(virsh(["list", "--all", "--name"]), "", "libvirt was asked");
                nothing_left();
                continue;
            }
            let started = started.unwrap();
            holds(&started.disks[0].cache, choice, mode, &path);
            if choice == CacheChoice::Auto {
                let because = format!(
                    "asked for `auto`, which is `writeback` here: `{RAM}` (ramfs) refuses O_DIRECT (Invalid argument); QEMU \
                     (process {}) has the file open without O_DIRECT",
                    qemu_pid("vm").unwrap()
                );
                assert_eq!(started.disks[0].cache.reason, because);
            }
            said(&libvirt, vm.uuid, "GUEST-UP").await;
            let before = std::fs::read(&path).unwrap();
            tell(b'w', b'W');
            let after = std::fs::read(&path).unwrap();
            assert!(before != after, "nothing was written with {choice}");
            let now = libvirt.domain(vm.uuid).await.unwrap();
            untainted(&now);
            remove(&libvirt, &now).await;
            nothing_left();
        }
    });
}

/// A mount that nothing can be written to.
const READ_ONLY: &str = "/srv/read-only";

#[test]
fn what_cannot_be_found_out_is_an_error() {
    room::run("what_cannot_be_found_out_is_an_error", &Inside::default(), async || {
        let libvirt = room::libvirt();
        std::fs::create_dir(READ_ONLY).unwrap();
        let mount = ["-t", "tmpfs", "-o", "ro", "none", READ_ONLY];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let path = Path::new(READ_ONLY).join("a.raw");
        for choice in [CacheChoice::Auto, CacheChoice::None] {
            let error = start(&libvirt, &spec("vm", disk(&path, choice))).await.unwrap_err();
            let sentence = error.to_string();
            let begins =
                format!("cannot find out whether the file system of `{}` takes O_DIRECT", path.display());
            assert!(
                sentence.starts_with(&begins) && sentence.contains("Read-only file system"),
                "{sentence}"
            );
            assert_eq!(error.kind(), ErrorKind::Failed);
        }
        assert_eq!(virsh(["list", "--all", "--name"]), "");
    });
}

#[test]
fn what_was_asked_for_outlives_agent_and_libvirt() {
    room::run("what_was_asked_for_outlives_agent_and_libvirt", &ram(), async || {
        let libvirt = room::libvirt();
        let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheChoice::Auto));
        vm.disks.push(disk(&guest(RAM, "data", Kind::Answering), CacheChoice::Auto));
        vm.cdroms = vec![CdromDrive::with(CacheChoice::Auto, guest(RAM, "cd", Kind::Answering))];
        start(&libvirt, &vm).await.unwrap();
        let hot = disk(&guest(RAM, "hot", Kind::Answering), CacheChoice::Auto);
        let before = libvirt.attach_disk(vm.uuid, &hot, Attempt::First).await.unwrap();
        let modes = |domain: &Domain| -> Vec<_> {
            domain.disks.iter().map(|disk| (disk.cache.requested, disk.cache.mode)).collect()
        };
        let auto = |mode| (CacheChoice::Auto, mode);
        let expected = [auto(CacheMode::None), auto(CacheMode::Writeback), auto(CacheMode::Writeback)];
        assert_eq!(modes(&before), expected);
        kill_libvirtd().unwrap();
        drop(libvirt);
        start_libvirtd().unwrap();
        let libvirt = room::libvirt();
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap(), before);

        // An operator has other things in mind, of which what is settled leaves everything.
        virsh(["desc", "vm", "--config", "mine, all mine"]);
        virsh(["blkdeviotune", "vm", "vdb", "--total-iops-sec", "500", "--config"]);
        let kept = virsh(["dumpxml", "vm", "--inactive"]);
        let plan = |choice| CachePlan {
            disks: vec![(vm.disks[0].id, CacheRequest::from(choice))],
            cdroms: CacheChoice::Auto.into(),
        };
        libvirt.settle_cache(vm.uuid, &plan(CacheChoice::Directsync), Attempt::First).await.unwrap();
        let settled = virsh(["dumpxml", "vm", "--inactive"]);
        let without = |xml: &str| -> Vec<String> {
            let lines = xml.lines().filter(|line| !line.contains("cairn") && !line.contains("<driver"));
            lines.map(|line| line.trim().to_owned()).collect()
        };
        assert_eq!(without(&settled), without(&kept));
        assert!(
            settled.contains("cache='directsync'") && settled.contains("500</total_iops_sec>"),
            "{settled}"
        );
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap(), before, "what runs was touched");
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
        let off = libvirt.settle_cache(vm.uuid, &plan(CacheChoice::Auto), Attempt::First).await.unwrap();
        assert_eq!(modes(&off), expected);

        // What an operator writes where QEMU reads it is what counts.
        let edited = virsh(["dumpxml", "vm", "--inactive"]).replacen("cache='none'", "cache='unsafe'", 1);
        std::fs::write("/root/edited.xml", edited).unwrap();
        virsh(["define", "/root/edited.xml"]);
        let started = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
        assert_eq!(modes(&started)[0], (CacheChoice::Unsafe, CacheMode::Unsafe));
        assert!(started.disks[0].cache.reason.starts_with("asked for `unsafe`, with which a crash"));
        assert_eq!(modes(&started)[1..], expected[1..]);
        nothing_left();
    });
}

#[test]
fn a_disk_attached_from_ramfs_obeys_its_mode_too() {
    room::run("a_disk_attached_from_ramfs_obeys_its_mode_too", &ram(), async || {
        let libvirt = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        holds(
            &start(&libvirt, &vm).await.unwrap().disks[0].cache,
            CacheMode::None,
            CacheMode::None,
            &vm.disks[0].source,
        );
        for mode in CacheMode::ALL.iter().copied() {
            let path = guest(RAM, mode.as_str(), Kind::Answering);
            let attached = libvirt.attach_disk(vm.uuid, &disk(&path, mode), Attempt::First).await;
            if mode.is_direct() {
                is_refusal(&attached.unwrap_err(), mode, &path);
                let paths = libvirt.domain(vm.uuid).await.unwrap().disks;
                assert!(paths.iter().all(|disk| disk.source != path), "half attached");
            } else {
                let attached = attached.unwrap();
                holds(
                    &attached.disks.iter().find(|disk| disk.source == path).unwrap().cache,
                    mode,
                    mode,
                    &path,
                );
            }
        }
        untainted(&libvirt.domain(vm.uuid).await.unwrap());
        // And still after QEMU has been started anew.
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
        let again = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
        assert_eq!(again.disks.len(), 4);
        for disk in &again.disks {
            let mode = disk.cache.mode;
            holds(&disk.cache, mode, mode, &disk.source);
            assert!(disk.source == vm.disks[0].source || disk.source.ends_with(format!("{mode}.raw")));
        }
        untainted(&again);
    });
}

#[test]
fn every_way_to_a_disk_carries_its_mode() {
    room::run("every_way_to_a_disk_carries_its_mode", &Inside::default(), async || {
        let libvirt = room::libvirt();
        for mode in CacheMode::ALL.iter().copied() {
            let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), mode));
            vm.disks.push(disk(&guest(DIRECT, "data", Kind::Answering), mode));
            vm.cdroms = vec![CdromDrive::with(mode, guest(DIRECT, "cd", Kind::Answering))];
            let mut now = start(&libvirt, &vm).await.unwrap();
            let hot = disk(&guest(DIRECT, "hot", Kind::Answering), mode);
            let check = |now: &Domain, disks: usize| {
                assert_eq!(now.disks.len(), disks);
                for disk in &now.disks {
                    holds(&disk.cache, mode, mode, &disk.source);
                }
                let media = now.cdroms[0].media.as_ref().unwrap();
                holds(&media.cache, mode, mode, &media.source);
            };
            check(&now, 2);
            now = libvirt.attach_disk(vm.uuid, &hot, Attempt::First).await.unwrap();
            check(&now, 3);
            libvirt.eject_media(vm.uuid, 0, Attempt::First).await.unwrap();
            let other = guest(DIRECT, "cd2", Kind::Answering);
            now = libvirt.insert_media(vm.uuid, 0, &other, Attempt::First).await.unwrap();
            check(&now, 3);
            now = libvirt.act(vm.uuid, Action::Reset, Attempt::First).await.unwrap();
            check(&now, 3);
            untainted(&now);
            libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
            now = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
            check(&now, 3);
            untainted(&now);
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
        // Before libvirt 10, a raw image has two nodes.
        let known = virsh(["qemu-monitor-command", "vm", r#"{"execute":"query-named-block-nodes"}"#]);
        let two = known.contains("libvirt-1-format");
        let writable = r#""read-only":false,"discard":"unmap""#;
        let own = if two { r#""auto-read-only":true,"discard":"unmap""# } else { writable };
        let storage = format!(r#""filename":"{}",{own}"#, path.display());
        let format = format!(r#"{writable},"file":"libvirt-1-storage""#);
        let mut nodes = vec![node("libvirt-1-storage", "file", &storage)];
        nodes.extend(two.then(|| node("libvirt-1-format", "raw", &format)));
        let command =
            format!(r#"{{"execute":"blockdev-reopen","arguments":{{"options":[{}]}}}}"#, nodes.join(","));
        let answer = virsh(["qemu-monitor-command", "vm", &command]);
        assert!(!answer.contains("error"), "{answer}");
        let cache = &libvirt.domain(vm.uuid).await.unwrap().disks[0].cache;
        assert_eq!(
            (cache.requested, cache.mode, cache.direct),
            (CacheChoice::None, CacheMode::Writeback, Some(false))
        );
        assert!(cache.reason.contains("changed while the domain ran"), "{}", cache.reason);
    });
}
