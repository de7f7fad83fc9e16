//! Modes that are changed while the domain runs, where it matters what real QEMU and libvirt make of it: what fails, what was
//! cut short, and what outlives whom.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_hypervisor::libvirt::Libvirt;
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{CacheChoice, CacheMode, CacheRequest, Disk, DiskId, Format};
use agent_hypervisor::{Attempt, Domains, Error};
use agent_libvirt::{Direction, Procedure, SeenFrame};
use uuid::Uuid;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{File, Inside, kill_libvirtd, start_libvirtd};
use xtask_testbed::loopdisk::{self, LoopDisk};
use xtask_testbed::{Device, sequence};

use super::direct_io::{holds, tell};
use super::room::{self, DIRECT, disk, guest, said, spec, start, virsh};

/// What is asked for, whatever it costs.
fn asked(choice: CacheChoice) -> CacheRequest {
    CacheRequest::from(choice).accepting_loss()
}

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What libvirt starts the domain from, and what it says of the one that runs.
pub fn modes_to_libvirt() -> [bool; 2] {
    [vec!["dumpxml", "--inactive", "vm"], vec!["dumpxml", "vm"]]
        .map(|words| xtask_testbed::libvirt::virsh(words).unwrap().contains("cache='writeback'"))
}

#[test]
fn what_qemu_refuses_leaves_the_old_mode_in_force() {
    room::run("what_qemu_refuses_leaves_the_old_mode_in_force", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        std::fs::create_dir("/srv/other").unwrap();
        let other = &guest("/srv/other", "data", Kind::Answering);
        vm.disks.push(disk(other, CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        said(&libvirt, vm.uuid, "GUEST-UP").await;
        // QEMU may not write there any more. It has the file open still.
        run("mount", &["--bind", "/srv/other", "/srv/other"]);
        run("mount", &["-o", "remount,bind,ro", "/srv/other"]);
        let both = [
            (vm.disks[0].id, asked(CacheChoice::Writeback)),
            (vm.disks[1].id, asked(CacheChoice::Writeback)),
        ];
        let error = libvirt.change_cache(vm.uuid, &both, Attempt::First).await.unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.contains("`vdb` of `vm` from `none` to `writeback`"), "{sentence}");
        assert!(sentence.contains("Read-only file system"), "{sentence}");
        let now = libvirt.domain(vm.uuid).await.unwrap();
        for disk in &now.disks {
            holds(&disk.cache, CacheMode::None, CacheMode::None, &disk.source);
        }
        assert_eq!(modes_to_libvirt(), [false; 2]);
        tell(b'w', b'W');
        // When it may again, it does.
        run("umount", &["/srv/other"]);
        let now = libvirt.change_cache(vm.uuid, &both, Attempt::Again).await.unwrap();
        for disk in &now.disks {
            holds(&disk.cache, CacheMode::Writeback, CacheMode::Writeback, &disk.source);
        }
        assert_eq!(modes_to_libvirt(), [true, false]);
        tell(b'w', b'W');
        // Another file under the name is not what the guest has written to.
        let before = libvirt.domain(vm.uuid).await.unwrap();
        let copy = guest(DIRECT, "copy", Kind::Answering);
        run("mount", &["--bind", copy.to_str().unwrap(), other.to_str().unwrap()]);
        let back = [(vm.disks[1].id, asked(CacheChoice::Unsafe))];
        let error = libvirt.change_cache(vm.uuid, &back, Attempt::First).await.unwrap_err();
        assert!(error.to_string().contains("is another file than the one that process"), "{error}");
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap(), before);
        run("umount", &[other.to_str().unwrap()]);
    });
}

#[test]
fn how_qemu_waits_is_not_changed_while_it_runs() {
    room::run("how_qemu_waits_is_not_changed_while_it_runs", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        vm.disks.push(disk(&guest(DIRECT, "data", Kind::Answering), CacheMode::None));
        libvirt.define(&vm, Attempt::First).await.unwrap();
        // As an operator would have it.
        let text = virsh(["dumpxml", "--inactive", "vm"]);
        assert_eq!(text.matches("cache='none' discard").count(), 2, "{text}");
        let text = text.replacen("cache='none' discard", "cache='none' io='native' discard", 1);
        let text = text.replacen("cache='none' discard", "cache='none' io='io_uring' discard", 1);
        std::fs::write("/root/vm.xml", text).unwrap();
        virsh(["define", "/root/vm.xml"]);
        let started = libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap();
        assert_eq!(started.disks[0].live, []);
        assert_eq!(started.disks[1].live, [CacheMode::Writeback, CacheMode::Unsafe]);
        let change = [(vm.disks[0].id, asked(CacheChoice::Writeback))];
        let error = libvirt.change_cache(vm.uuid, &change, Attempt::First).await.unwrap_err();
        let Error::NeedsRestart { obstacle, .. } = &error else { panic!("{error}") };
        assert!(obstacle.contains("`io='native'`"), "{obstacle}");
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap(), started);
        for choice in [CacheChoice::Unsafe, CacheChoice::None] {
            let change = [(vm.disks[1].id, asked(choice))];
            let now = libvirt.change_cache(vm.uuid, &change, Attempt::First).await.unwrap();
            holds(&now.disks[1].cache, choice, choice.as_str().parse().unwrap(), &vm.disks[1].source);
        }
    });
}

/// After which call of libvirt in a change, counted from 1, the agent ends, and whether QEMU has done it by then.
const ENDS: [(Procedure, usize, bool); 7] = [
    // The configuration.
    (Procedure::DomainDefineXmlFlags, 1, false),
    // What QEMU's nodes are.
    (Procedure::QemuDomainMonitorCommand, 1, false),
    // The note that it is asked.
    (Procedure::DomainSetMetadata, 1, false),
    // It.
    (Procedure::QemuDomainMonitorCommand, 2, true),
    // What the nodes are then.
    (Procedure::QemuDomainMonitorCommand, 3, true),
    // The note that it is done.
    (Procedure::DomainSetMetadata, 2, true),
    // It does not.
    (Procedure::DomainSetMetadata, usize::MAX, true),
];

/// A hypervisor that is dropped in the middle of a change, as one is whose process is killed: what it knew is gone, its
/// connection is closed, and what it has asked is done all the same.
///
/// It has a thread of its own, and no other: nothing goes on there between an answer that is seen and the end.
async fn cut_short(after: Procedure, count: usize, uuid: Uuid, change: Vec<(DiskId, CacheRequest)>) {
    let alone = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ends_after(after, count, uuid, &change));
    };
    tokio::task::spawn_blocking(alone).await.unwrap();
}

async fn ends_after(after: Procedure, count: usize, uuid: Uuid, change: &[(DiskId, CacheRequest)]) {
    let answers = Arc::new(AtomicUsize::new(0));
    let (sender, mut end) = tokio::sync::mpsc::unbounded_channel();
    let mut options = room::options();
    let counter = Arc::clone(&answers);
    options.connect.observer = Some(Arc::new(move |frame: SeenFrame| {
        if frame.known() == Some(after)
            && frame.direction == Direction::In
            && counter.fetch_add(1, Ordering::SeqCst) + 1 == count
        {
            sender.send(()).unwrap();
        }
    }));
    let libvirt = Libvirt::start(options);
    libvirt.domain(uuid).await.unwrap();
    answers.store(0, Ordering::SeqCst);
    tokio::select! {
        // The end is told before the answer is handed on.
        biased;
        _ = end.recv() => assert!(count < usize::MAX),
        changed = libvirt.change_cache(uuid, change, Attempt::First) => {
            changed.unwrap();
            assert_eq!(count, usize::MAX, "it did not end after {after:?}");
        }
    }
    // A process that is killed does not wait; but libvirt 9.0 may crash then, if it is just answering the one who follows events.
    libvirt.leave().await;
}

/// Whether QEMU ignores flushes of the root disk.
pub fn no_flush() -> bool {
    let query = r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#;
    let answer: serde_json::Value =
        serde_json::from_str(&virsh(["qemu-monitor-command", "vm", query])).unwrap();
    let nodes = answer["return"].as_array().unwrap();
    let ours = nodes.iter().filter(|node| node["node-name"].as_str().unwrap().starts_with("libvirt-1-"));
    let told: Vec<bool> = ours.map(|node| node["cache"]["no-flush"].as_bool().unwrap()).collect();
    // Of a raw image libvirt 10 has one, and those before have two.
    assert!(!told.is_empty() && told.iter().all(|one| *one == told[0]), "{nodes:?}");
    told[0]
}

#[test]
fn a_change_that_is_cut_short_anywhere_is_told_as_it_is() {
    room::run("a_change_that_is_cut_short_anywhere_is_told_as_it_is", &Inside::default(), async || {
        let first = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        start(&first, &vm).await.unwrap();
        said(&first, vm.uuid, "GUEST-UP").await;
        drop(first);
        let (id, path) = (vm.disks[0].id, &vm.disks[0].source);
        let mut libvirt_ends = 0;
        for (after, count, done) in ENDS {
            for (before, wanted) in [
                (CacheMode::None, CacheMode::Writeback),
                (CacheMode::Writeback, CacheMode::Unsafe),
                (CacheMode::Unsafe, CacheMode::Writeback),
                (CacheMode::Writeback, CacheMode::None),
            ] {
                let what = format!("{before} to {wanted}, ended after {after:?} {count}");
                let change = [(id, asked(wanted.into()))];
                cut_short(after, count, vm.uuid, change.to_vec()).await;
                if wanted == CacheMode::Unsafe {
                    // libvirt may end then, too.
                    kill_libvirtd().unwrap();
                    start_libvirtd().unwrap();
                    libvirt_ends += 1;
                }
                let next = room::libvirt();
                let now = next.domain(vm.uuid).await.unwrap();
                let mode = if done { wanted } else { before };
                let cache = &now.disks[0].cache;
                assert_eq!((cache.mode, cache.requested), (mode, mode.into()), "{what}: {}", cache.reason);
                holds(cache, mode, mode, path);
                assert_eq!(no_flush(), mode == CacheMode::Unsafe, "{what}");
                let kept = virsh(["dumpxml", "vm"]);
                assert!(!kept.contains("changing"), "{what}: {kept}");
                // And the next attempt is the last.
                let now = next.change_cache(vm.uuid, &change, Attempt::Again).await.unwrap();
                holds(&now.disks[0].cache, wanted, wanted, path);
                assert!(now.taints.iter().any(|taint| taint.contains("custom monitor")), "{:?}", now.taints);
                assert_eq!(no_flush(), wanted == CacheMode::Unsafe, "{what}");
                let settled = format!("cache='{wanted}'");
                assert!(virsh(["dumpxml", "--inactive", "vm"]).contains(&settled), "{what}");
            }
        }
        assert_eq!(libvirt_ends, ENDS.len());
        tell(b'w', b'W');
        super::direct_io::nothing_left();
    });
}

/// Whether modes are changed a thousand times, which takes minutes.
const FULL: &str = "/root/full";

/// What a domain whose root disk is that of the sequence went through.
async fn flipped(libvirt: &Libvirt, root: Disk, flips: usize) -> usize {
    let vm = spec("vm", root);
    start(libvirt, &vm).await.unwrap();
    said(libvirt, vm.uuid, sequence::BANNER).await;
    said(libvirt, vm.uuid, ".").await;
    let modes = [CacheMode::Writeback, CacheMode::Unsafe, CacheMode::None];
    let begin = std::time::Instant::now();
    for mode in modes.iter().copied().cycle().take(flips) {
        let changed =
            libvirt.change_cache(vm.uuid, &[(vm.disks[0].id, asked(mode.into()))], Attempt::First).await;
        let cache = changed.unwrap().disks.remove(0).cache;
        assert_eq!((cache.mode, cache.direct), (mode, Some(mode.is_direct())), "{}", cache.reason);
    }
    println!("{flips} changes took {:?}", begin.elapsed());
    tell(b's', b'S');
    let console = said(libvirt, vm.uuid, "S").await;
    assert!(!console[sequence::BANNER.len()..].contains('E'), "the guest found something else than it wrote");
    libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
    libvirt.undefine(vm.uuid, Attempt::First).await.unwrap();
    console.matches('.').count() * SAID
}

/// For how many writes the guest says something.
const SAID: usize = 64;

#[test]
fn a_guest_that_writes_all_along_loses_nothing() {
    let full = std::env::var_os("CAIRN_TEST_FULL").is_some();
    let file = File { path: FULL.into(), mode: 0o644, content: full.to_string().into_bytes() };
    let inside = Inside { files: vec![file], ..Inside::default() };
    room::run("a_guest_that_writes_all_along_loses_nothing", &inside, async || {
        let flips = if std::fs::read_to_string(FULL).unwrap() == "true" { 1002 } else { 60 };
        let libvirt = room::libvirt();
        let path = |name: &str| Path::new(DIRECT).join(name);
        let check = |image: &Path, acknowledged: usize| {
            let last = sequence::last(&std::fs::read(image).unwrap()).unwrap() as usize;
            println!("{last} writes, {acknowledged} of them told");
            // All that was told is there, and it wrote all along.
            assert!((acknowledged..acknowledged + SAID).contains(&last) && last > 2 * flips);
        };
        let raw = path("sequence.raw");
        std::fs::write(&raw, sequence::disk(64)).unwrap();
        check(&raw, flipped(&libvirt, disk(&raw, CacheMode::None), flips).await);
        // A layer over another one: the first lap takes new clusters of it.
        let (base, overlay) = (path("base.raw"), path("overlay.qcow2"));
        std::fs::write(&base, sequence::disk(64)).unwrap();
        let untouched = std::fs::read(&base).unwrap();
        let words = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b"].map(Path::new);
        let create = Command::new("qemu-img").args(words).args([&base, &overlay]).status().unwrap();
        assert!(create.success());
        let root = Disk { format: Format::Qcow2, ..disk(&overlay, CacheMode::None) };
        let acknowledged = flipped(&libvirt, root, flips).await;
        run("qemu-img", &["check", "-q", overlay.to_str().unwrap()]);
        let flat = path("flat.raw");
        run("qemu-img", &["convert", "-O", "raw", overlay.to_str().unwrap(), flat.to_str().unwrap()]);
        check(&flat, acknowledged);
        assert!(std::fs::read(&base).unwrap() == untouched, "the image under it was written to");
    });
}

#[test]
fn blocks_larger_than_the_guests_sectors_are_written_whole() {
    let inside = Inside { mounts: vec![Device::LoopControl.into()], ..Inside::default() };
    room::run("blocks_larger_than_the_guests_sectors_are_written_whole", &inside, async || {
        if loopdisk::lacks_loops() {
            println!("skipped: this machine has no loop devices: /dev/loop-control");
            return;
        }
        let place = Path::new("/srv/large");
        let _mounted = LoopDisk { kind: "ext4", sector_bytes: 4096, options: "" }.mount(place).unwrap();
        let libvirt = room::libvirt();
        let raw = place.join("sequence.raw");
        std::fs::write(&raw, sequence::disk(64)).unwrap();
        // QEMU learns on the way how large the blocks are that O_DIRECT takes, and that it takes others again.
        let acknowledged = flipped(&libvirt, disk(&raw, CacheMode::Writeback), 12).await;
        assert!(sequence::last(&std::fs::read(&raw).unwrap()).unwrap() as usize >= acknowledged);
    });
}
