//! Changes of what runs and an attachment, cut short at each call, before they are repeated: what the next agent shows is what
//! QEMU does, at every moment.

use std::collections::BTreeSet;
use std::path::Path;

use agent_libvirt::Procedure;
use agent_protocol::call::{VmAttachDisk, VmChangeCache, VmDefine, VmStart, VolumeResize};
use agent_protocol::vm::{
    AttachRequest, CacheChoice, CacheMode, ChangeCacheRequest, DefineRequest, DiskCache, Format, StartMode,
    StartRequest, VmState,
};
use agent_protocol::volume::ResizeRequest;
use serde_json::Value;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, inside, qemu_pid, virsh};

use crate::cut::{FOLDER, Moment, Story, create, disk, full, moments, path};
use crate::real::machine;
use crate::support::{asked, unplanned};

impl Story {
    /// What is shown, once it was held to what QEMU does: by its descriptors, and by the nodes that it has.
    pub async fn true_modes(&self, what: &str) -> Vec<CacheMode> {
        let shown = self.shown().await;
        let nodes = nodes();
        for disk in &shown.disks {
            let (mode, direct) = (disk.cache.mode, disk.cache.direct);
            let is_direct = [CacheMode::None, CacheMode::Directsync].contains(&mode);
            assert_eq!((direct, open_direct(&disk.path)), (Some(is_direct), is_direct), "{what}: {disk:?}");
            let ours: Vec<_> = nodes.iter().filter(|node| node["file"] == disk.path).collect();
            assert_eq!(ours.len(), 2, "{what}: {ours:?}");
            for node in ours {
                let told = (node["cache"]["direct"].as_bool(), node["cache"]["no-flush"].as_bool());
                assert_eq!(told, (Some(is_direct), Some(mode == CacheMode::Unsafe)), "{what}: {node}");
            }
        }
        assert!(!virsh(["dumpxml", "web"]).unwrap().contains("changing"), "{what}");
        shown.disks.iter().map(|disk| disk.cache.mode).collect()
    }

    fn change(&self, shown: &VmState, choice: CacheChoice) -> ChangeCacheRequest {
        let volumes = shown.disks.iter().map(|disk| disk.volume);
        let disks = volumes.map(|volume| DiskCache { volume, cache: asked(choice) }).collect();
        ChangeCacheRequest { vm: self.vm, disks }
    }
}

/// What QEMU has open, file by file.
fn nodes() -> Vec<Value> {
    let query = r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#;
    let answer: Value =
        serde_json::from_str(&virsh(["qemu-monitor-command", "web", query]).unwrap()).unwrap();
    answer["return"].as_array().unwrap().clone()
}

/// Whether QEMU has a file open with O_DIRECT.
fn open_direct(path: &str) -> bool {
    let process = Path::new("/proc").join(qemu_pid("web").unwrap().to_string());
    let open = std::fs::read_dir(process.join("fd")).unwrap().map(|entry| entry.unwrap());
    let ours =
        open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == Path::new(path)));
    let direct: Vec<bool> = ours
        .map(|entry| {
            let info = std::fs::read_to_string(process.join("fdinfo").join(entry.file_name())).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
            u32::from_str_radix(flags, 8).unwrap() & 0o40000 != 0
        })
        .collect();
    assert!(!direct.is_empty() && direct.iter().all(|one| *one == direct[0]), "{path}: {direct:?}");
    direct[0]
}

/// Two disks, one of them on another image, are changed.
async fn a_change(story: &mut Story, [from, to]: [CacheMode; 2]) {
    let choice = |mode: CacheMode| match mode {
        CacheMode::None => CacheChoice::None,
        CacheMode::Unsafe => CacheChoice::Unsafe,
        _ => CacheChoice::Writeback,
    };
    let shown = story.shown().await;
    let (there, back) = (story.change(&shown, choice(to)), story.change(&shown, choice(from)));
    let files: Vec<String> = nodes().iter().map(|node| node["file"].to_string()).collect();
    let mut seen = BTreeSet::new();
    for moment in moments() {
        let what = format!("{from:?} to {to:?}, killed {moment:?}");
        let cut = story.cut_short::<VmChangeCache>(moment, there.clone()).await;
        let modes = story.true_modes(&what).await;
        let Some(operation) = cut else {
            assert_eq!(modes, [to; 2], "{what}");
            // The configuration, what the nodes are, the note, and of each disk the change and what its nodes are then, the note.
            assert_eq!(moment, Moment::Before(9), "{what}: it was not killed");
            break;
        };
        seen.insert(format!("{modes:?}"));
        let again = story.again::<VmChangeCache>(operation, there.clone()).await;
        assert_eq!(again.taints.len(), 1, "{what}: {:?}", again.taints);
        assert_eq!(story.true_modes(&what).await, [to; 2], "{what}");
        let now: Vec<String> = nodes().iter().map(|node| node["file"].to_string()).collect();
        assert_eq!(now, files, "{what}: other nodes");
        story.wire.call::<VmChangeCache>(back.clone()).await;
        assert_eq!(story.true_modes(&what).await, [from; 2], "{what}");
    }
    let expected = [[from, from], [to, from], [to, to]].map(|modes| format!("{modes:?}"));
    assert_eq!(seen, BTreeSet::from(expected));
}

/// A disk on another image is attached.
async fn an_attachment(story: &mut Story) {
    for (number, moment) in moments().enumerate() {
        let what = format!("killed {moment:?}");
        let name = format!("hot{number}.qcow2");
        create(&name, &["qcow2", "-F", "raw", "-b", &path("under.raw")]);
        let order = AttachRequest { vm: story.vm, disk: disk(&name, Format::Qcow2) };
        let has = |nodes: &[Value]| nodes.iter().filter(|node| node["file"] == path(&name)).count();
        let cut = story.cut_short::<VmAttachDisk>(moment, order.clone()).await;
        let shown = story.shown().await.disks.iter().any(|disk| disk.path == path(&name));
        // QEMU has it open where it is shown, and nowhere else.
        assert_eq!(has(&nodes()), if shown { 2 } else { 0 }, "{what}");
        story.true_modes(&what).await;
        if let Some(operation) = cut {
            story.again::<VmAttachDisk>(operation, order).await;
            story.true_modes(&what).await;
        } else {
            // The note for the next start, that for now, and the disk.
            assert_eq!(moment, Moment::Before(4), "{what}: it was not killed");
        }
        assert_eq!(has(&nodes()), 2, "{what}");
        for words in [vec!["dumpxml", "web"], vec!["dumpxml", "--inactive", "web"]] {
            let source = format!("<source file='{}'", path(&name));
            assert_eq!(virsh(words).unwrap().matches(&source).count(), 1, "{what}");
        }
        if cut.is_none() {
            return;
        }
    }
}

/// A disk that QEMU has open is made bigger.
async fn a_disk_that_grows(story: &mut Story) {
    let size = |number: usize| (number as u64 + 2) << 20;
    let last = std::cell::Cell::new(0);
    let order = async |_: &Story, number: usize| {
        last.set(size(number));
        ResizeRequest { path: path("data.raw"), format: Format::Raw, size_bytes: size(number) }
    };
    let grown = async |_: &Story, what: &str| {
        assert_eq!(std::fs::metadata(path("data.raw")).unwrap().len(), last.get(), "{what}");
        let told = virsh(["domblkinfo", "web", "vdb"]).unwrap();
        assert!(told.contains(&last.get().to_string()), "{what}: {told}");
    };
    story.everywhere::<VolumeResize>(&[Procedure::DomainBlockResize], order, grown).await;
}

#[test]
fn an_agent_that_is_killed_at_any_call_shows_what_is_true_afterwards() {
    let executables = vec![env!("CARGO_BIN_EXE_cairn-agent").into()];
    let room = Inside { executables, files: vec![full()], ..Inside::default() };
    inside("an_agent_that_is_killed_at_any_call_shows_what_is_true_afterwards", &room, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            std::fs::create_dir(FOLDER).unwrap();
            let mut vm = machine(Kind::Answering);
            vm.disks.clear();
            std::fs::rename("/srv/root.raw", path("base.raw")).unwrap();
            create("root.qcow2", &["qcow2", "-F", "raw", "-b", &path("base.raw")]);
            create("under.raw", &["raw"]);
            create("data.raw", &["raw"]);
            vm.disks = vec![disk("root.qcow2", Format::Qcow2), disk("data.raw", Format::Raw)];
            let mut story = Story::start(vm.uuid).await;
            story.wire.call::<VmDefine>(DefineRequest { vm }).await;
            let start = StartRequest { vm: story.vm, mode: StartMode::Running, cache: unplanned() };
            story.wire.call::<VmStart>(start).await;
            story.up(0, 1).await;
            assert_eq!(story.true_modes("at first").await, [CacheMode::None; 2]);
            a_change(&mut story, [CacheMode::None, CacheMode::Writeback]).await;
            a_change(&mut story, [CacheMode::Writeback, CacheMode::Unsafe]).await;
            an_attachment(&mut story).await;
            a_disk_that_grows(&mut story).await;
            story.all_answered();
            virsh(["destroy", "web"]).unwrap();
        });
    });
}
