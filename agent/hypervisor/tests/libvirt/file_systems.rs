//! What O_DIRECT is worth on file systems of many kinds, each made for it, and that a guest starts on each of them and writes.
//!
//! What a machine cannot make is skipped if it stands here with a cause, and the cause is looked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_hypervisor::cache::{CachePlan, evidence};
use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{CacheChoice, CacheMode, Disk, Format, Sector};
use agent_hypervisor::storage::{Backing, VolumeSpec};
use agent_hypervisor::survey::{Flush, Verdict, findings};
use agent_hypervisor::{Attempt, Domains, Kind as ErrorKind, Storage};
use uuid::Uuid;
use xtask_testbed::fuse::{self, Direct};
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::Inside;
use xtask_testbed::loopdisk::{LoopDisk, Mounted, lacks, lacks_loops, mount};
use xtask_testbed::{Device, Mount};

use super::direct_io::{holds, remove, tell};
use super::room::{self, DIRECT, RAM, disk, guest, said, spec, start};

/// The four answers, and the one that is a matter of policy; each with words that the reason has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Direct,
    Buffered,
    Refused,
    Larger,
    Checksums,
}

impl Answer {
    const fn mode(self) -> CacheMode {
        match self {
            Self::Direct => CacheMode::None,
            Self::Buffered | Self::Refused | Self::Larger | Self::Checksums => CacheMode::Writeback,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Direct => " takes O_DIRECT",
            Self::Buffered => " accepts O_DIRECT and uses the page cache all the same",
            Self::Refused => " refuses O_DIRECT (Invalid argument)",
            Self::Larger => " takes O_DIRECT in blocks of 4096 bytes, and the guest's are of 512",
            Self::Checksums => " takes O_DIRECT, but keeps checksums",
        }
    }
}

/// How a file system is made.
enum Make {
    Loop(LoopDisk<'static>),
    Plain(&'static str),
    /// Over an upper folder on what an earlier row has made.
    OverlayOn(&'static str),
    Fuse(Direct),
    /// By nobody: nothing here makes one.
    Zfs,
}

/// What stays mounted.
enum Made {
    Kernel(#[expect(dead_code, reason = "it is unmounted when it goes")] Mounted),
    Fuse(#[expect(dead_code, reason = "it is unmounted when it goes")] fuse::Mounted),
}

const fn on_loop(kind: &'static str, sector_bytes: u32, options: &'static str) -> Make {
    Make::Loop(LoopDisk { kind, sector_bytes, options })
}

/// Name, how it is made, what it answers.
const TABLE: [(&str, Make, Answer); 14] = [
    ("ramfs", Make::Plain("ramfs"), Answer::Refused),
    ("overlay-ramfs", Make::OverlayOn("ramfs"), Answer::Refused),
    ("fuse-refusing", Make::Fuse(Direct::Refused), Answer::Refused),
    ("fuse", Make::Fuse(Direct::Accepted), Answer::Buffered),
    ("tmpfs", Make::Plain("tmpfs"), Answer::Buffered),
    ("ext4", on_loop("ext4", 512, ""), Answer::Direct),
    ("overlay-ext4", Make::OverlayOn("ext4"), Answer::Direct),
    ("ext4-4096", on_loop("ext4", 4096, ""), Answer::Larger),
    ("ext4-journal", on_loop("ext4", 512, "data=journal"), Answer::Buffered),
    ("xfs", on_loop("xfs", 512, ""), Answer::Direct),
    ("xfs-4096", on_loop("xfs", 4096, ""), Answer::Larger),
    ("btrfs", on_loop("btrfs", 512, ""), Answer::Checksums),
    ("btrfs-4096", on_loop("btrfs", 4096, ""), Answer::Checksums),
    ("zfs", Make::Zfs, Answer::Buffered),
];

const PLACE: &str = "/srv/kinds";

/// Makes one; or says why this machine cannot, after having looked for the cause.
fn make(name: &str, how: &Make) -> Result<Made, String> {
    let at = Path::new(PLACE).join(name);
    match how {
        Make::Loop(_) if lacks_loops() => {
            Err("this machine has no loop devices: /dev/loop-control".to_owned())
        }
        Make::Loop(disk) => match disk.mount(&at) {
            Err(error) if lacks(disk.kind).unwrap() => {
                Err(format!("this kernel has no {} in /proc/filesystems: {error:#}", disk.kind))
            }
            mounted => Ok(Made::Kernel(mounted.unwrap())),
        },
        Make::Plain(kind) => Ok(Made::Kernel(mount(kind, "mode=755", "none", &at).unwrap())),
        Make::OverlayOn(under) => {
            let under = Path::new(PLACE).join(under);
            if !under.exists() {
                return Err(format!("there is nothing at {}, which was skipped", under.display()));
            }
            let (upper, work, lower) = (under.join("upper"), under.join("work"), at.with_extension("lower"));
            for folder in [&upper, &work, &lower] {
                std::fs::create_dir_all(folder).unwrap();
            }
            let [upper, work, lower] = [upper, work, lower].map(|path| path.display().to_string());
            let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
            Ok(Made::Kernel(mount("overlay", &options, "overlay", &at).unwrap()))
        }
        Make::Fuse(_) if std::fs::File::open("/dev/fuse").is_err() => {
            Err("this machine has no FUSE: /dev/fuse".to_owned())
        }
        Make::Fuse(direct) => Ok(Made::Fuse(fuse::mount(&at, *direct).unwrap())),
        Make::Zfs => {
            assert!(
                lacks("zfs").unwrap(),
                "this kernel has ZFS: make one here, and take it out of what is skipped"
            );
            Err("this kernel has no zfs in /proc/filesystems".to_owned())
        }
    }
}

fn devices() -> Inside {
    let mounts = vec![Mount::ramfs(RAM), Device::Fuse.into(), Device::LoopControl.into()];
    Inside { mounts, ..Inside::default() }
}

#[test]
fn a_guest_starts_and_writes_on_every_kind_of_file_system() {
    room::run("a_guest_starts_and_writes_on_every_kind_of_file_system", &devices(), async || {
        let libvirt = room::libvirt();
        let mut mounted = Vec::new();
        for (name, how, answer) in &TABLE {
            match make(name, how) {
                Ok(made) => mounted.push(made),
                Err(cause) => {
                    println!("skipped: {name}: {cause}");
                    continue;
                }
            }
            let folder = Path::new(PLACE).join(name);
            let path = guest(folder.to_str().unwrap(), "vm", Kind::Answering);
            let vm = spec("vm", disk(&path, CacheChoice::Auto));
            let started = start(&libvirt, &vm).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let cache = &started.disks[0].cache;
            println!("{name}: {}", cache.reason);
            assert!(cache.reason.contains(answer.words()), "{name}: {}", cache.reason);
            holds(cache, CacheChoice::Auto, answer.mode(), &path);
            said(&libvirt, vm.uuid, "GUEST-UP").await;
            let before = std::fs::read(&path).unwrap();
            tell(b'w', b'W');
            measured(&libvirt, name, &folder, *answer).await;
            if *answer == Answer::Larger {
                large_sectors_are_shown(&libvirt, vm.uuid, &folder).await;
            }
            // Whatever goes past the page cache of a large block is the guest's when it is off.
            remove(&libvirt, &started).await;
            assert!(std::fs::read(&path).unwrap() != before, "{name}: nothing was written");

            // Asked for in as many words, O_DIRECT is refused where the file system refuses it, and nowhere else.
            let explicit = spec("vm", disk(&path, CacheMode::None));
            match (start(&libvirt, &explicit).await, answer) {
                (Err(error), Answer::Refused) => {
                    assert_eq!(error.kind(), ErrorKind::DirectIo, "{name}: {error}");
                }
                (Ok(started), _) if *answer != Answer::Refused => remove(&libvirt, &started).await,
                (other, _) => panic!("{name} with `none`: {other:?}"),
            }
            let left = std::fs::read_dir(&folder)
                .unwrap()
                .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
            let left: Vec<String> = left.filter(|name| name.starts_with(".cairn")).collect();
            assert_eq!(left, [] as [&str; 0], "{name}");
        }
    });
}

/// The folder is worth what its disks found, and leaves nothing there.
async fn measured(libvirt: &Libvirt, name: &str, folder: &Path, answer: Answer) {
    let survey = libvirt.survey(folder).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let found = findings(&survey);
    for finding in &found {
        println!("{name}: {:?}: {:?}: {}", finding.subject, finding.verdict, finding.evidence);
    }
    let direct = matches!(answer, Answer::Direct);
    assert_eq!(found[0].verdict == Verdict::Good, direct, "{name}: {found:?}");
    let larger = matches!(survey.layer.answer, evidence::Answer::Larger { bytes: 4096 });
    assert_eq!(larger, answer == Answer::Larger, "{name}: {survey:?}");
    assert!(matches!(survey.flush, Flush::Sampled(_)), "{name}: {survey:?}");
}

/// A blank disk that no guest has had has the blocks below as its sectors, and keeps them.
async fn large_sectors_are_shown(libvirt: &Libvirt, vm: Uuid, folder: &Path) {
    let path = folder.join("blank");
    let blank =
        VolumeSpec { path: path.clone(), format: Format::Raw, size_bytes: Some(1 << 20), backing: None };
    libvirt.create_volume(&blank, Attempt::First).await.unwrap();
    let free = Disk { sector: Sector::Free, ..disk(&path, CacheChoice::Auto) };
    let attached = libvirt.attach_disk(vm, &free, Attempt::First).await.unwrap();
    let cache = &attached.disks[1].cache;
    holds(cache, CacheChoice::Auto, CacheMode::None, &path);
    assert_eq!((cache.sector_bytes, cache.weakest), (Some(4096), Some(0)), "{}", cache.reason);
    let auto = CacheChoice::Auto.into();
    let plan = CachePlan { disks: vec![(free.id, auto)], cdroms: auto };
    let settled = libvirt.settle_cache(vm, &plan, Attempt::First).await.unwrap();
    assert_eq!(settled.disks[1].cache.sector_bytes, Some(4096));
}

/// What O_DIRECT is worth is found out where no file of our own can be written, too.
#[test]
fn a_guest_starts_on_a_file_system_that_is_full() {
    room::run("a_guest_starts_on_a_file_system_that_is_full", &devices(), async || {
        let libvirt = room::libvirt();
        let rows = [
            ("tmpfs", Make::Plain("tmpfs"), "size=4m", CacheMode::Writeback),
            ("ext4", on_loop("ext4", 512, ""), "", CacheMode::None),
        ];
        for (name, how, options, mode) in rows {
            let at = Path::new(PLACE).join(name);
            let _mounted = match &how {
                Make::Plain(kind) => Made::Kernel(mount(kind, options, "none", &at).unwrap()),
                how => match make(name, how) {
                    Ok(made) => made,
                    Err(cause) => {
                        println!("skipped: {name}: {cause}");
                        continue;
                    }
                },
            };
            let path = guest(at.to_str().unwrap(), "vm", Kind::Answering);
            let fill = std::fs::File::create(at.join("fill")).unwrap();
            let full =
                std::io::copy(&mut std::io::repeat(1), &mut std::io::BufWriter::with_capacity(1 << 16, fill));
            assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull, "{name}");
            let started = start(&libvirt, &spec("vm", disk(&path, CacheChoice::Auto))).await;
            let started = started.unwrap_or_else(|error| panic!("{name}: {error}"));
            holds(&started.disks[0].cache, CacheChoice::Auto, mode, &path);
            remove(&libvirt, &started).await;
        }
    });
}

/// An overlay, with the image under it on another file system.
#[test]
fn an_image_that_refuses_o_direct_is_named_by_the_disk_over_it() {
    room::run("an_image_that_refuses_o_direct_is_named_by_the_disk_over_it", &devices(), async || {
        let libvirt = room::libvirt();
        let base = guest(RAM, "base", Kind::Answering);
        let path = PathBuf::from(DIRECT).join("over.qcow2");
        let backing = Some(Backing { path: base.clone(), format: Format::Raw });
        let over = VolumeSpec { path: path.clone(), format: Format::Qcow2, size_bytes: None, backing };
        libvirt.create_volume(&over, Attempt::First).await.unwrap();
        let on = |choice: CacheChoice| {
            let mut vm = spec("vm", disk(&path, choice));
            vm.disks[0].format = Format::Qcow2;
            vm
        };
        let error = libvirt.define(&on(CacheChoice::None), Attempt::First).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                ErrorKind::DirectIo,
                format!(
                    "`{RAM}/base.raw`, the image under `{DIRECT}/over.qcow2`, cannot be opened with cache mode `none`: \
                     `{RAM}` (ramfs) refuses O_DIRECT (Invalid argument); ask for `auto` or `writeback`, or move it to a \
                     file system that supports O_DIRECT"
                )
            )
        );
        let vm = on(CacheChoice::Auto);
        let started = start(&libvirt, &vm).await.unwrap();
        let cache = &started.disks[0].cache;
        holds(cache, CacheChoice::Auto, CacheMode::Writeback, &path);
        let named =
            format!("`{RAM}` (ramfs), where the image `{RAM}/base.raw` under it lies, refuses O_DIRECT");
        assert!(cache.reason.contains(&named), "{}", cache.reason);
        said(&libvirt, vm.uuid, "GUEST-UP").await;
        tell(b'w', b'W');
        remove(&libvirt, &started).await;

        // What a guest writes into a raw disk names nothing.
        let header = std::fs::read(&path).unwrap();
        let forged = PathBuf::from(DIRECT).join("forged.raw");
        std::fs::write(&forged, [&header[..], &vec![0; 1 << 20]].concat()).unwrap();
        let vm = spec("vm", disk(&forged, CacheChoice::Auto));
        let defined = libvirt.define(&vm, Attempt::First).await.unwrap();
        assert_eq!(defined.disks[0].cache.mode, CacheMode::None, "{}", defined.disks[0].cache.reason);
    });
}

/// The threads of this process that are finding out.
fn looking() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path().join("comm"));
    tasks.filter(|comm| std::fs::read_to_string(comm).is_ok_and(|name| name.trim() == "cache-probe")).count()
}

/// Waits until one thread looks: another one that gave up has said so before it ended.
async fn only_one_looks() {
    let alone = async {
        while looking() != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(room::PATIENCE, alone).await.expect("one thread that looks");
}

#[test]
fn a_file_system_that_hangs_keeps_nobody_waiting() {
    room::run("a_file_system_that_hangs_keeps_nobody_waiting", &devices(), async || {
        if std::fs::File::open("/dev/fuse").is_err() {
            println!("skipped: this machine has no FUSE: /dev/fuse");
            return;
        }
        // Enough for a busy machine to answer about a disk that is there.
        let patience = Duration::from_secs(3);
        let libvirt = Libvirt::start(Options { probe_patience: patience, ..room::options() });
        let at = Path::new(PLACE).join("away");
        let mounted = fuse::mount(&at, Direct::Accepted).unwrap();
        let path = guest(at.to_str().unwrap(), "vm", Kind::Answering);
        let vm = spec("vm", disk(&path, CacheChoice::Auto));
        mounted.answers(false);
        for _ in 0..2 {
            let error = libvirt.define(&vm, Attempt::First).await.unwrap_err().to_string();
            assert!(
                error.contains("`/srv/kinds/away/vm.raw`") && error.contains("no answer within 3 seconds"),
                "{error}"
            );
            only_one_looks().await;
            // Elsewhere nobody notices.
            let other = spec("other", disk(&guest(DIRECT, "other", Kind::Answering), CacheChoice::Auto));
            let started = start(&libvirt, &other).await.unwrap();
            assert_eq!(started.disks[0].cache.mode, CacheMode::None);
            remove(&libvirt, &started).await;
        }
        mounted.answers(true);
        let started = async {
            while libvirt.define(&vm, Attempt::Again).await.is_err() {
                tokio::task::yield_now().await;
            }
            libvirt.act(vm.uuid, Action::Start(Start::Running), Attempt::First).await.unwrap()
        };
        let started = tokio::time::timeout(room::PATIENCE, started).await.unwrap();
        holds(&started.disks[0].cache, CacheChoice::Auto, CacheMode::Writeback, &path);
        remove(&libvirt, &started).await;
    });
}
