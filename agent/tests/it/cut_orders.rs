//! Orders about definition, power, disks and media of a machine, each cut short at every call and repeated: what it orders has
//! come about once, and nothing is left behind. On real libvirt and QEMU.

use std::cell::Cell;

use agent_libvirt::Procedure as P;
use agent_protocol::call::{
    VmAttachDisk, VmDefine, VmDestroy, VmDetachDisk, VmEjectMedia, VmInsertMedia, VmReboot, VmReset,
    VmResume, VmShutdown, VmStart, VmSuspend, VmUndefine,
};
use agent_protocol::vm::{
    AttachRequest, ButtonRequest, CacheChoice, CacheMode, CachePlan, CdromDrive, DefineRequest,
    DetachRequest, DiskCache, EjectRequest, Format, InsertRequest, RebootRequest, StartMode, StartRequest,
    Vm,
};
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, inside, virsh};

use crate::cut::{FOLDER, Story, create, disk, full, names, path};
use crate::real::machine;
use crate::support::{asked, unplanned};

/// One of two modes in turn, so that each order settles another than the one before.
fn turn(number: usize) -> (CacheChoice, CacheMode) {
    [(CacheChoice::Directsync, CacheMode::Directsync), (CacheChoice::Writethrough, CacheMode::Writethrough)]
        [number % 2]
}

fn plan(vm: &Vm, number: usize) -> CachePlan {
    let disk = DiskCache { volume: vm.disks[0].volume, cache: asked(turn(number).0) };
    CachePlan { disks: vec![disk], ..unplanned() }
}

fn start(vm: &Vm, mode: StartMode, number: usize) -> StartRequest {
    StartRequest { vm: vm.uuid, mode, cache: plan(vm, number) }
}

/// The number that libvirt gave to the machine that runs: one more at each start.
fn starts() -> u32 {
    virsh(["domid", "web"]).unwrap().parse().unwrap()
}

fn is(state: &str, what: &str) {
    assert_eq!(virsh(["domstate", "web"]).unwrap(), state, "{what}");
}

/// How often a file is named now, and from the next start on.
fn named(name: &str) -> [usize; 2] {
    let source = format!("<source file='{}'", path(name));
    [vec!["dumpxml", "web"], vec!["dumpxml", "--inactive", "web"]]
        .map(|words| virsh(words).unwrap().matches(&source).count())
}

async fn definition(story: &mut Story, vm: &Vm) {
    let define = async |_: &Story, number: usize| {
        if number > 0 {
            virsh(["undefine", "web"]).unwrap();
        }
        DefineRequest { vm: vm.clone() }
    };
    let defined = async |_: &Story, what: &str| {
        assert_eq!(virsh(["list", "--all", "--name"]).unwrap(), "web", "{what}");
        is("shut off", what);
    };
    story.everywhere::<VmDefine>(&[P::DomainDefineXmlFlags], define, defined).await;
}

/// A disk that comes and goes. A guest that runs lets go of it.
async fn disks(story: &mut Story, coming: &[P], going: &[P]) {
    let data = disk("data.raw", Format::Raw);
    let attach = AttachRequest { vm: story.vm, disk: data.clone() };
    let detach = DetachRequest { vm: story.vm, volume: data.volume };
    let come = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmDetachDisk>(detach.clone()).await;
        }
        attach.clone()
    };
    let there = async |story: &Story, what: &str| {
        assert_eq!(named("data.raw"), [1, 1], "{what}");
        assert_eq!(story.shown().await.disks.len(), 2, "{what}");
    };
    story.everywhere::<VmAttachDisk>(coming, come, there).await;
    let go = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmAttachDisk>(attach.clone()).await;
        }
        detach.clone()
    };
    let gone = async |story: &Story, what: &str| {
        assert_eq!(named("data.raw"), [0, 0], "{what}");
        assert_eq!(story.shown().await.disks.len(), 1, "{what}");
    };
    story.everywhere::<VmDetachDisk>(going, go, gone).await;
}

/// An image that is laid into the drive, and taken out of it.
async fn media(story: &mut Story, calls: &[P]) {
    let insert = InsertRequest { vm: story.vm, drive: 0, media: path("cd.iso") };
    let eject = EjectRequest { vm: story.vm, drive: 0 };
    let come = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmEjectMedia>(eject.clone()).await;
        }
        insert.clone()
    };
    let there = async |story: &Story, what: &str| {
        assert_eq!(named("cd.iso"), [1, 1], "{what}");
        let media = story.shown().await.cdroms.remove(0).media.map(|media| media.path);
        assert_eq!(media, Some(path("cd.iso")), "{what}");
    };
    story.everywhere::<VmInsertMedia>(calls, come, there).await;
    let go = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmInsertMedia>(insert.clone()).await;
        }
        eject.clone()
    };
    let gone = async |story: &Story, what: &str| {
        assert_eq!(named("cd.iso"), [0, 0], "{what}");
        assert_eq!(story.shown().await.cdroms[0].media, None, "{what}");
    };
    story.everywhere::<VmEjectMedia>(calls, go, gone).await;
}

/// The drive's next start knows another mode than its present one: now and then are two calls.
async fn media_of_two_minds(story: &mut Story) {
    let before = virsh(["dumpxml", "--inactive", "web"]).unwrap();
    let drive = before.find("device='cdrom'").unwrap();
    let (head, tail) = before.split_at(drive);
    assert!(tail.contains("cache='writeback'"), "{tail}");
    let other = format!("{head}{}", tail.replacen("cache='writeback'", "cache='unsafe'", 1));
    let define = |xml: &str| {
        std::fs::write("/root/web.xml", xml).unwrap();
        virsh(["define", "/root/web.xml"]).unwrap();
    };
    define(&other);
    media(story, &[P::DomainUpdateDeviceFlags; 2]).await;
    // Where the configuration alone is full, another order finds that, too.
    let insert = InsertRequest { vm: story.vm, drive: 0, media: path("cd.iso") };
    let eject = EjectRequest { vm: story.vm, drive: 0 };
    story.wire.call::<VmInsertMedia>(insert).await;
    let operation = story.cut_short::<VmEjectMedia>(crate::cut::Moment::Before(2), eject.clone()).await;
    assert_eq!((operation.is_some(), named("cd.iso")), (true, [0, 1]));
    story.wire.call::<VmEjectMedia>(eject.clone()).await;
    assert_eq!(named("cd.iso"), [0, 0]);
    story.again::<VmEjectMedia>(operation.unwrap(), eject).await;
    define(&before);
}

/// On and off, and what is between.
async fn power(story: &mut Story, vm: &Vm) {
    let this = story.this();
    let on = [P::DomainDefineXmlFlags, P::DomainCreateWithFlags];
    for (mode, state) in [(StartMode::Paused, "paused"), (StartMode::Running, "running")] {
        let begin = async |_: &Story, number: usize| {
            if virsh(["domstate", "web"]).unwrap() != "shut off" {
                virsh(["destroy", "web"]).unwrap();
            }
            start(vm, mode, number)
        };
        let begun = async |story: &Story, what: &str| {
            is(state, what);
            let shown = story.shown().await;
            assert_eq!(shown.taints, Vec::<String>::new(), "{what}");
            story.true_modes(what).await;
        };
        story.everywhere::<VmStart>(&on, begin, begun).await;
    }
    let suspend = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmResume>(this.clone()).await;
        }
        this.clone()
    };
    let paused = async |_: &Story, what: &str| is("paused", what);
    story.everywhere::<VmSuspend>(&[P::DomainSuspend], suspend, paused).await;
    let resume = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmSuspend>(this.clone()).await;
        }
        this.clone()
    };
    let running = async |_: &Story, what: &str| is("running", what);
    story.everywhere::<VmResume>(&[P::DomainResume], resume, running).await;
}

/// Over again, and off. At the end it is off.
async fn over_again(story: &mut Story, vm: &Vm) {
    let this = story.this();
    let from = Cell::new(0);
    let reset = async |story: &Story, _: usize| {
        from.set(story.said_bytes().await);
        this.clone()
    };
    let up = async |story: &Story, what: &str| {
        is("running", what);
        story.up(from.get(), 1).await;
    };
    // Nothing tells whether QEMU was reset: who was killed once that is done, and before it is recorded, is followed by one
    // who does it again.
    story.everywhere_but::<VmReset>(&[P::DomainReset], &[P::DomainReset], reset, up).await;

    let before = Cell::new(0);
    let modes = Cell::new(CacheMode::None);
    let reboot = async |story: &Story, number: usize| {
        from.set(story.said_bytes().await);
        before.set(starts());
        modes.set(turn(number).1);
        RebootRequest { vm: vm.uuid, patience_ms: 120_000, cache: plan(vm, number) }
    };
    let rebooted = async |story: &Story, what: &str| {
        is("running", what);
        let times = starts() - before.get();
        assert!((1..=2).contains(&times), "{what}: {times}");
        story.up(from.get(), times as usize).await;
        assert_eq!(story.true_modes(what).await, [modes.get()], "{what}");
    };
    let calls = [P::DomainDefineXmlFlags, P::DomainShutdownFlags, P::DomainCreateWithFlags];
    // Nor is it known that it runs since that order: it is off and on once more.
    story.everywhere_but::<VmReboot>(&calls, &[P::DomainCreateWithFlags], reboot, rebooted).await;

    let press = async |story: &Story, number: usize| {
        if number > 0 {
            let from = story.said_bytes().await;
            story.wire.call::<VmStart>(start(vm, StartMode::Running, number)).await;
            story.up(from, 1).await;
        }
        ButtonRequest { vm: vm.uuid, patience_ms: 120_000 }
    };
    let off = async |_: &Story, what: &str| is("shut off", what);
    story.everywhere::<VmShutdown>(&[P::DomainShutdownFlags], press, off).await;
    let cut = async |story: &Story, number: usize| {
        story.wire.call::<VmStart>(start(vm, StartMode::Paused, number)).await;
        this.clone()
    };
    story.everywhere::<VmDestroy>(&[P::DomainDestroyFlags], cut, off).await;
}

async fn removal(story: &mut Story, vm: &Vm) {
    let this = story.this();
    let undefine = async |story: &Story, number: usize| {
        if number > 0 {
            story.wire.call::<VmDefine>(DefineRequest { vm: vm.clone() }).await;
        }
        this.clone()
    };
    let consoles = story.host.layout.console_folder().to_str().unwrap().to_owned();
    let gone = async |_: &Story, what: &str| {
        assert_eq!(virsh(["list", "--all", "--name"]).unwrap(), "", "{what}");
        assert_eq!(names(&consoles), [] as [&str; 0], "{what}");
    };
    story.everywhere::<VmUndefine>(&[P::DomainUndefineFlags], undefine, gone).await;
}

#[test]
fn an_order_that_is_cut_short_at_any_call_is_carried_out_by_its_repeat() {
    let executables = vec![env!("CARGO_BIN_EXE_cairn-agent").into()];
    let room = Inside { executables, files: vec![full()], ..Inside::default() };
    inside("an_order_that_is_cut_short_at_any_call_is_carried_out_by_its_repeat", &room, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            std::fs::create_dir(FOLDER).unwrap();
            let mut vm = machine(Kind::Yielding);
            std::fs::rename("/srv/root.raw", path("root.raw")).unwrap();
            for name in ["data.raw", "cd.iso"] {
                create(name, &["raw"]);
            }
            vm.disks = vec![disk("root.raw", Format::Raw)];
            vm.cdroms = vec![CdromDrive { cache: asked(CacheChoice::Auto), media: None }];
            let files = names(FOLDER);
            let mut story = Story::start(vm.uuid).await;
            definition(&mut story, &vm).await;
            let (note, attach, detach) =
                (P::DomainSetMetadata, P::DomainAttachDeviceFlags, P::DomainDetachDeviceFlags);
            disks(&mut story, &[note, attach], &[detach]).await;
            media(&mut story, &[P::DomainUpdateDeviceFlags]).await;
            power(&mut story, &vm).await;
            story.up(0, 1).await;
            disks(&mut story, &[note, note, attach], &[detach, detach]).await;
            media(&mut story, &[P::DomainUpdateDeviceFlags]).await;
            media_of_two_minds(&mut story).await;
            over_again(&mut story, &vm).await;
            removal(&mut story, &vm).await;
            story.all_answered();
            assert_eq!(names(FOLDER), files);
        });
    });
}
