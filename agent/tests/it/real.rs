//! The agent as a process on real libvirt and QEMU, in a room of their own: it dies, and the machines do not.

use std::path::PathBuf;
use std::time::Duration;

use agent_protocol::call::{
    FolderShow, HostFacts, VmConsole, VmDefine, VmDestroy, VmShow, VmShutdown, VmStart, VmUndefine, VmWatch,
    VolumeCreate,
};
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::FactsRequest;
use agent_protocol::vm::{
    AccelChoice, BootDevice, ButtonRequest, CacheChoice, ConsoleRequest, DefineRequest, Disk, DiskBus,
    Firmware, Format, Guest, Machine, StartMode, StartRequest, State, Vm, VmRequest, WatchRequest,
};
use agent_protocol::volume::{CreateRequest, PathRequest};
use uuid::Uuid;
use xtask_testbed::guest::{self, Kind};
use xtask_testbed::libvirt::{Inside, inside, kill_libvirtd, start_libvirtd, virsh};

use crate::killed::{Process, until};
use crate::support::{Host, SECTOR, asked, unplanned};
use crate::wire::Wire;

fn in_the_room<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_cairn-agent"));
    let room = Inside { executables: vec![agent], ..Inside::default() };
    inside(name, &room, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
}

/// A machine with one disk, on which such a guest lies.
pub fn machine(kind: Kind) -> Vm {
    let path = "/srv/root.raw";
    std::fs::write(path, guest::disk(kind)).unwrap();
    let disk = Disk {
        volume: Uuid::new_v4(),
        path: path.to_owned(),
        format: Format::Raw,
        bus: DiskBus::Virtio,
        cache: asked(CacheChoice::Writeback),
        sector: SECTOR,
    };
    Vm {
        uuid: Uuid::new_v4(),
        name: "web".to_owned(),
        memory_bytes: 64 << 20,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Tcg,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![disk],
        cdroms: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// Waits until the guest has said that it is up.
pub async fn up(wire: &Wire, vm: Uuid) {
    let said = async {
        loop {
            let ask = ConsoleRequest { vm, offset: 0, limit: u64::MAX };
            if wire.call::<VmConsole>(ask).await.text.contains("GUEST-UP") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), said).await.unwrap();
}

#[test]
fn an_agent_that_is_killed_loses_neither_machines_nor_orders() {
    in_the_room("an_agent_that_is_killed_loses_neither_machines_nor_orders", async || {
        let host = Host::joined();
        let (process, wire) = Process::on_libvirt(&host).await;
        let facts = wire.call::<HostFacts>(FactsRequest {}).await;
        assert!(facts.hypervisor.version.is_some_and(|version| version.starts_with("libvirt ")));

        let vm = machine(Kind::Silent);
        let uuid = vm.uuid;
        wire.call::<VmDefine>(DefineRequest { vm }).await;
        let (started, pressed) = (Uuid::new_v4(), Uuid::new_v4());
        let start = StartRequest { vm: uuid, mode: StartMode::Running, cache: unplanned() };
        let first = wire.answer::<VmStart>(started, start.clone()).await;
        assert_eq!(first.reply::<VmStart>().state, State::Running);
        up(&wire, uuid).await;

        // What somebody else does is told to who waits for news.
        let mut known = wire.call::<VmWatch>(WatchRequest { after: None, wait_ms: 0 }).await;
        assert_eq!((known.complete, known.vms[0].state), (true, State::Running));
        virsh(["suspend", "web"]).unwrap();
        while known.vms.iter().all(|vm| vm.state != State::Paused) {
            known = wire.call::<VmWatch>(WatchRequest { after: Some(known.cursor), wait_ms: 59_000 }).await;
            assert!(!known.complete && !known.vms.is_empty(), "nothing was told: {known:?}");
        }
        virsh(["resume", "web"]).unwrap();

        let press = ButtonRequest { vm: uuid, patience_ms: 600_000 };
        let asked = tokio::spawn({
            let (wire, press) = (wire.clone(), press.clone());
            async move { wire.try_answer::<VmShutdown>(pressed, press).await }
        });
        let record = host.layout.agent_operations().join(format!("{pressed}.json"));
        until(|| record.exists()).await;
        process.kill();
        assert!(asked.await.unwrap().is_err());
        assert_eq!(virsh(["domstate", "web"]).unwrap(), "running");

        let (_process, wire) = Process::on_libvirt(&host).await;
        assert_eq!(wire.call::<VmShow>(VmRequest { vm: uuid }).await.state, State::Running);
        let again = tokio::spawn({
            let wire = wire.clone();
            async move { wire.answer::<VmShutdown>(pressed, press).await }
        });
        virsh(["destroy", "web"]).unwrap();
        let off = again.await.unwrap();
        assert_eq!(off.reply::<VmShutdown>().state, State::Shutoff);
        // An order that was carried out before is not carried out again.
        assert_eq!(wire.answer::<VmStart>(started, start).await, first);
        assert_eq!(virsh(["domstate", "web"]).unwrap(), "shut off");
    });
}

#[test]
fn an_agent_without_libvirt_says_so_and_carries_on_when_it_is_back() {
    in_the_room("an_agent_without_libvirt_says_so_and_carries_on_when_it_is_back", async || {
        let host = Host::joined();
        kill_libvirtd().unwrap();
        let (_process, wire) = Process::on_libvirt(&host).await;
        let facts = wire.call::<HostFacts>(FactsRequest {}).await;
        assert!(facts.hypervisor.version.is_none() && facts.hypervisor.reason.is_some(), "{facts:?}");
        let socket = host.layout.agent_socket();
        let health = agent::health::ask(&socket, Duration::from_secs(60)).await;
        assert!(health.healthy && health.to_string().contains("libvirt"), "{health}");

        let (operation, vm) = (Uuid::new_v4(), machine(Kind::Answering));
        let define = || DefineRequest { vm: vm.clone() };
        let (status, code, message) = wire.answer::<VmDefine>(operation, define()).await.failure();
        assert_eq!((status, code), (503, FailureCode::Unavailable), "{message}");
        start_libvirtd().unwrap();
        let defined = async {
            loop {
                let answer = wire.answer::<VmDefine>(operation, define()).await;
                if answer.status.is_success() {
                    return answer.reply::<VmDefine>();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let defined = tokio::time::timeout(Duration::from_secs(120), defined).await.unwrap();
        assert_eq!((defined.uuid, defined.state), (vm.uuid, State::Shutoff));
    });
}

#[test]
fn what_the_unit_allows_is_enough() {
    in_the_room("what_the_unit_allows_is_enough", async || {
        let host = Host::joined();
        let unit = include_str!("../../cairn-agent.service");
        let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let (allowed, mask) = (value("CapabilityBoundingSet="), value("UMask="));
        let (_process, wire) = Process::on_libvirt_with(&host, allowed, mask).await;
        let path = "/srv/pool/data.qcow2".to_owned();
        wire.call::<FolderShow>(PathRequest { path: "/srv/pool".to_owned() }).await;
        let create = CreateRequest {
            path: path.clone(),
            format: Format::Qcow2,
            size_bytes: Some(1 << 20),
            backing: None,
        };
        wire.call::<VolumeCreate>(create).await;
        let mut vm = machine(Kind::Answering);
        let cache = asked(CacheChoice::Auto);
        vm.disks.push(Disk {
            volume: Uuid::new_v4(),
            path,
            format: Format::Qcow2,
            bus: DiskBus::Virtio,
            cache,
            sector: SECTOR,
        });
        let uuid = vm.uuid;
        wire.call::<VmDefine>(DefineRequest { vm }).await;
        let running = wire
            .call::<VmStart>(StartRequest { vm: uuid, mode: StartMode::Running, cache: unplanned() })
            .await;
        let direct: Vec<_> = running.disks.iter().map(|disk| disk.cache.direct).collect();
        assert_eq!(direct, [Some(false), Some(true)], "{:?}", running.disks);
        wire.call::<VmDestroy>(VmRequest { vm: uuid }).await;
        wire.call::<VmUndefine>(VmRequest { vm: uuid }).await;
    });
}
