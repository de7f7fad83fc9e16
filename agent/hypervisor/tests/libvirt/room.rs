//! What the tests share: the hypervisor in its room, specs, guests' disks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::spec::{
    AccelChoice, BootDevice, CacheRequest, Disk, DiskBus, DiskId, DomainSpec, Firmware, Format, Guest,
    Machine, Sector,
};
use agent_hypervisor::{Attempt, Domains, Error};
use tokio::sync::broadcast;
use uuid::Uuid;
use xtask_testbed::guest::{self, Kind};
use xtask_testbed::libvirt::{Inside, inside};

use agent_hypervisor::state::{Change, Domain, State};

/// How long anything may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where volumes lie that may be opened with O_DIRECT.
pub const DIRECT: &str = "/srv/direct";

/// Where volumes lie that may not: the tests mount a ramfs there.
pub const RAM: &str = "/srv/ram";

/// Runs an async test in the room.
pub fn run<F: Future<Output = ()>>(name: &str, options: &Inside, test: impl FnOnce() -> F) {
    inside(name, options, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        for folder in [DIRECT, RAM] {
            std::fs::create_dir_all(folder).unwrap();
        }
        runtime.block_on(test());
    });
}

/// The hypervisor of the room.
pub fn options() -> Options {
    Options { release_patience: Duration::from_secs(10), ..Options::new("/var/log/cairn/console".into()) }
}

/// It, started.
pub fn libvirt() -> Libvirt {
    Libvirt::start(options())
}

/// Writes the disk of a guest and returns where.
pub fn guest(folder: &str, name: &str, kind: Kind) -> PathBuf {
    let path = Path::new(folder).join(format!("{name}.raw"));
    std::fs::write(&path, guest::disk(kind)).unwrap();
    path
}

/// A disk on a raw file.
pub fn disk(source: &Path, cache: impl Into<CacheRequest>) -> Disk {
    let (id, cache) = (DiskId(Uuid::new_v4()), cache.into().accepting_loss());
    Disk {
        id,
        source: source.to_owned(),
        format: Format::Raw,
        bus: DiskBus::Virtio,
        cache,
        sector: Sector::Fixed(None),
    }
}

/// A domain with one disk, run by TCG.
pub fn spec(name: &str, root: Disk) -> DomainSpec {
    DomainSpec {
        uuid: Uuid::new_v4(),
        name: name.to_owned(),
        memory_bytes: 64 << 20,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Tcg,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![root],
        cdroms: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// Defines and starts.
pub async fn start(on: &impl Domains, spec: &DomainSpec) -> Result<Domain, Error> {
    use agent_hypervisor::lifecycle::{Action, Start};
    on.define(spec, Attempt::First).await?;
    on.act(spec.uuid, Action::Start(Start::Running), Attempt::First).await
}

/// What a guest said on its serial line, once it has said `wanted`.
pub async fn said(on: &impl Domains, uuid: Uuid, wanted: &str) -> String {
    let mut text = String::new();
    let heard = async {
        while !text.contains(wanted) {
            let log = on.console_log(uuid, 0, u64::MAX).await.unwrap();
            text = String::from_utf8_lossy(&log.bytes).into_owned();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, heard).await.is_err() {
        panic!("the guest never said `{wanted}`, but: {text}");
    }
    text
}

/// Takes changes until one shows the domain in this state.
pub async fn becomes(changes: &mut broadcast::Receiver<Change>, uuid: Uuid, state: State) {
    let seen = async {
        loop {
            match changes.recv().await.unwrap() {
                Change::Changed(domain) if domain.uuid == uuid && domain.state == state => return,
                other => eprintln!("passed over: {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never seen as {state}"));
}

/// What `virsh` says, which must not fail.
pub fn virsh<const N: usize>(words: [&str; N]) -> String {
    xtask_testbed::libvirt::virsh(words).unwrap()
}
