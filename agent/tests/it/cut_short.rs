//! Every order, cut short by SIGKILL of the agent at several moments, and repeated to the next one: it ends as if nothing
//! had been, and nothing is left behind. On real libvirt and QEMU.

use std::path::PathBuf;
use std::time::Duration;

use agent_protocol::call::{
    Call, ImageImport, VmAttachDisk, VmChangeCache, VmConsole, VmDefine, VmDestroy, VmDetachDisk,
    VmEjectMedia, VmInsertMedia, VmReboot, VmReset, VmResume, VmShow, VmShutdown, VmStart, VmSuspend,
    VmUndefine, VolumeCreate, VolumeDelete, VolumeResize,
};
use agent_protocol::vm::{
    AccelChoice, AttachRequest, BootDevice, ButtonRequest, CacheChoice, CacheMode, CachePlan, CdromDrive,
    ChangeCacheRequest, ConsoleRequest, DefineRequest, DetachRequest, Disk, DiskBus, DiskCache, EjectRequest,
    Firmware, Format, Guest, InsertRequest, Machine, RebootRequest, StartMode, StartRequest, State, Vm,
    VmRequest, VmState,
};
use agent_protocol::volume::{Backing, CreateRequest, ImportRequest, PathRequest, ResizeRequest};
use uuid::Uuid;
use xtask_testbed::guest::{self, Kind};
use xtask_testbed::libvirt::{Inside, inside, virsh};

use crate::killed::{Process, until};
use crate::support::{Host, SECTOR, asked, unplanned};
use crate::wire::Wire;

/// Where volumes lie; nothing else does.
pub const FOLDER: &str = "/srv/volumes";

/// The guest's disk, with enough behind it that copying takes a while.
const SOURCE: &str = "/srv/guest.raw";
const SOURCE_BYTES: usize = 48 << 20;

/// How long after an order was recorded the agent is killed, in milliseconds: before the work, in it, after it. What comes
/// out is the same at every moment.
const MOMENTS_MS: [u64; 4] = [0, 4, 25, 150];

/// A host whose agent is killed again and again.
struct Story {
    host: Host,
    moment: Duration,
    process: Option<Process>,
    wire: Wire,
}

impl Story {
    async fn start(moment: Duration) -> Self {
        let host = Host::joined();
        let (process, wire) = Process::on_libvirt(&host).await;
        Self { host, moment, process: Some(process), wire }
    }

    /// Orders something, kills the agent a moment later, and orders it again.
    async fn cut_short<C: Call>(&mut self, arguments: C::Request) -> C::Reply
    where
        C::Request: Clone,
    {
        let operation = Uuid::new_v4();
        let asked = tokio::spawn({
            let (wire, arguments) = (self.wire.clone(), arguments.clone());
            async move { wire.try_answer::<C>(operation, arguments).await.is_ok() }
        });
        let record = self.host.layout.agent_operations().join(format!("{operation}.json"));
        until(|| record.exists()).await;
        tokio::time::sleep(self.moment).await;
        self.process.take().unwrap().kill();
        let answered = asked.await.unwrap();
        let (process, wire) = Process::on_libvirt(&self.host).await;
        (self.process, self.wire) = (Some(process), wire);
        println!(
            "{} killed after {:?}: {}",
            C::NAME,
            self.moment,
            if answered { "answered" } else { "cut short" }
        );
        let again = self.wire.answer::<C>(operation, arguments.clone()).await;
        let reply = again.reply::<C>();
        assert_eq!(self.wire.answer::<C>(operation, arguments).await, again);
        assert!(std::fs::read_to_string(&record).unwrap().contains("\"finished\""), "{}", C::NAME);
        reply
    }

    /// Waits until the guest has said so often that it is up.
    async fn up(&self, vm: Uuid, times: usize) {
        let said = async {
            loop {
                let ask = ConsoleRequest { vm, offset: 0, limit: u64::MAX };
                if self.wire.call::<VmConsole>(ask).await.text.matches("GUEST-UP").count() >= times {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), said).await.unwrap();
    }

    /// How often the guest has said so far that it is up.
    async fn boots(&self, vm: Uuid) -> usize {
        let ask = ConsoleRequest { vm, offset: 0, limit: u64::MAX };
        self.wire.call::<VmConsole>(ask).await.text.matches("GUEST-UP").count()
    }
}

pub fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

pub fn disk(name: &str, format: Format) -> Disk {
    let (volume, cache) = (Uuid::new_v4(), asked(CacheChoice::Auto));
    Disk { volume, path: path(name), format, bus: DiskBus::Virtio, cache, sector: SECTOR }
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn tell(moment: Duration) {
    let mut story = Story::start(moment).await;
    let image = ImportRequest { source: SOURCE.to_owned(), path: path("image.raw") };
    let imported = story.cut_short::<ImageImport>(image).await;
    assert_eq!(imported.volume.size_bytes, SOURCE_BYTES as u64);
    assert_eq!(std::fs::read(SOURCE).unwrap(), std::fs::read(path("image.raw")).unwrap());
    let backing = Some(Backing { path: path("image.raw"), format: Format::Raw });
    let root = CreateRequest { path: path("root.qcow2"), format: Format::Qcow2, size_bytes: None, backing };
    story.cut_short::<VolumeCreate>(root).await;
    let blank = |name: &str| {
        let (path, size_bytes) = (path(name), Some(1 << 20));
        CreateRequest { path, format: Format::Raw, size_bytes, backing: None }
    };
    story.cut_short::<VolumeCreate>(blank("data.raw")).await;
    story.cut_short::<VolumeCreate>(blank("cd.iso")).await;
    let resize = ResizeRequest { path: path("data.raw"), format: Format::Raw, size_bytes: 2 << 20 };
    assert_eq!(story.cut_short::<VolumeResize>(resize).await.size_bytes, 2 << 20);
    assert_eq!(names(FOLDER), ["cd.iso", "data.raw", "image.raw", "root.qcow2"]);

    let vm = Vm {
        uuid: Uuid::new_v4(),
        name: "web".to_owned(),
        memory_bytes: 64 << 20,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Tcg,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![disk("root.qcow2", Format::Qcow2)],
        cdroms: vec![CdromDrive { cache: asked(CacheChoice::Auto), media: None }],
        interfaces: Vec::new(),
    };
    let (uuid, root_volume) = (vm.uuid, vm.disks[0].volume);
    let this = || VmRequest { vm: uuid };
    let press = || ButtonRequest { vm: uuid, patience_ms: 120_000 };
    story.cut_short::<VmDefine>(DefineRequest { vm }).await;
    let plan = |choice| CachePlan {
        disks: vec![DiskCache { volume: root_volume, cache: asked(choice) }],
        ..unplanned()
    };
    let modes = |vm: &VmState| vm.disks.iter().map(|disk| disk.cache.mode).collect::<Vec<_>>();
    let start = StartRequest { vm: uuid, mode: StartMode::Running, cache: plan(CacheChoice::Directsync) };
    let started = story.cut_short::<VmStart>(start).await;
    assert_eq!((started.state, modes(&started)), (State::Running, vec![CacheMode::Directsync]));
    story.up(uuid, 1).await;
    assert_eq!(story.cut_short::<VmSuspend>(this()).await.state, State::Paused);
    assert_eq!(story.cut_short::<VmResume>(this()).await.state, State::Running);

    let data = disk("data.raw", Format::Raw);
    let attach = AttachRequest { vm: uuid, disk: data.clone() };
    assert_eq!(story.cut_short::<VmAttachDisk>(attach).await.disks.len(), 2);
    let media = path("cd.iso");
    let laid = story.cut_short::<VmInsertMedia>(InsertRequest { vm: uuid, drive: 0, media }).await;
    assert_eq!(laid.cdroms[0].media.as_ref().unwrap().path, path("cd.iso"));
    let eject = EjectRequest { vm: uuid, drive: 0 };
    assert_eq!(story.cut_short::<VmEjectMedia>(eject).await.cdroms[0].media, None);

    let boots = story.boots(uuid).await;
    assert_eq!(story.cut_short::<VmReset>(this()).await.state, State::Running);
    story.up(uuid, boots + 1).await;
    let boots = story.boots(uuid).await;
    let reboot = RebootRequest { vm: uuid, patience_ms: 120_000, cache: plan(CacheChoice::Auto) };
    let rebooted = story.cut_short::<VmReboot>(reboot).await;
    assert_eq!((rebooted.state, modes(&rebooted)), (State::Running, vec![CacheMode::None; 2]));
    story.up(uuid, boots + 1).await;
    for (choice, mode) in [
        (CacheChoice::Unsafe, CacheMode::Unsafe),
        (CacheChoice::Writeback, CacheMode::Writeback),
        (CacheChoice::Auto, CacheMode::None),
    ] {
        let disks = vec![DiskCache { volume: root_volume, cache: asked(choice) }];
        let changed = story.cut_short::<VmChangeCache>(ChangeCacheRequest { vm: uuid, disks }).await;
        assert_eq!(modes(&changed), [mode, CacheMode::None]);
        let cache = &changed.disks[0].cache;
        assert_eq!((cache.requested, cache.direct), (choice, Some(mode == CacheMode::None)));
        assert_eq!(changed.taints.len(), 1, "{:?}", changed.taints);
        assert!(!virsh(["dumpxml", "web"]).unwrap().contains("changing"));
    }
    assert_eq!(story.cut_short::<VmShutdown>(press()).await.state, State::Shutoff);

    let start = StartRequest { vm: uuid, mode: StartMode::Paused, cache: plan(CacheChoice::Unsafe) };
    let paused = story.cut_short::<VmStart>(start).await;
    assert_eq!((paused.state, paused.disks.len(), paused.taints.len()), (State::Paused, 2, 0));
    assert_eq!(modes(&paused), [CacheMode::Unsafe, CacheMode::None]);
    assert_eq!(story.cut_short::<VmDestroy>(this()).await.state, State::Shutoff);
    let detach = DetachRequest { vm: uuid, volume: data.volume };
    assert_eq!(story.cut_short::<VmDetachDisk>(detach).await.disks.len(), 1);
    assert_eq!(story.wire.call::<VmShow>(this()).await.state, State::Shutoff);
    story.cut_short::<VmUndefine>(this()).await;
    for name in ["root.qcow2", "data.raw", "cd.iso", "image.raw"] {
        story.cut_short::<VolumeDelete>(PathRequest { path: path(name) }).await;
    }

    assert_eq!(virsh(["list", "--all", "--name"]).unwrap(), "");
    assert_eq!(names(FOLDER), [] as [&str; 0]);
    assert_eq!(names(story.host.layout.console_folder().to_str().unwrap()), [] as [&str; 0]);
}

#[test]
fn an_order_that_is_cut_short_at_any_moment_is_carried_out_once() {
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_cairn-agent"));
    let room = Inside { executables: vec![agent], limit: Duration::from_secs(1200), ..Inside::default() };
    inside("an_order_that_is_cut_short_at_any_moment_is_carried_out_once", &room, || {
        let mut disk = guest::disk(Kind::Answering);
        disk.resize_with(SOURCE_BYTES, || 7);
        std::fs::write(SOURCE, disk).unwrap();
        std::fs::create_dir(FOLDER).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        for moment in MOMENTS_MS {
            runtime.block_on(tell(Duration::from_millis(moment)));
        }
    });
}
