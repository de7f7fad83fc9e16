//! What `cargo xtask bench --part vm` runs in a room with libvirt: starts, and changes of a mode under a guest that writes all
//! along. Writes one line of JSON for each sample. Called with the number of rounds.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent_hypervisor::cache::Supposed;
use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{
    AccelChoice, BootDevice, CacheChoice, CacheMode, Disk, DiskBus, DiskId, DomainSpec, Firmware, Format,
    Guest, Machine, Sector,
};
use agent_hypervisor::{Attempt, Domains};
use uuid::Uuid;
use xtask_testbed::libvirt::virsh;
use xtask_testbed::loopdisk::LoopDisk;
use xtask_testbed::sequence;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where the file system is.
const PLACE: &str = "/srv/bench";

/// How long a guest is listened to at a time.
const WINDOW: Duration = Duration::from_secs(4);

/// Changes in such a time.
const CHANGES: usize = 20;

const START: Action = Action::Start(Start::Running);

fn main() -> Result<()> {
    let rounds: usize = std::env::args().nth(1).ok_or("how many rounds?")?.parse()?;
    let ext4 = LoopDisk { kind: "ext4", sector_bytes: 512, options: "" };
    let _mounted = ext4.mount(Path::new(PLACE))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let libvirt = Libvirt::start(Options::new("/var/log/cairn/console".into()));
        let spec = guest()?;
        libvirt.define(&spec, Attempt::First).await?;
        for round in 0..rounds {
            looks(&libvirt, &spec).await?;
            starts(&libvirt, &spec, round % 2 == 0).await?;
            changes(&libvirt, &spec).await?;
        }
        libvirt.undefine(spec.uuid, Attempt::First).await?;
        Ok(())
    })
}

/// A guest that says something for every write.
fn guest() -> Result<DomainSpec> {
    let source = Path::new(PLACE).join("sequence.raw");
    std::fs::write(&source, sequence::disk(1))?;
    let (id, format, bus) = (DiskId(Uuid::new_v4()), Format::Raw, DiskBus::Virtio);
    Ok(DomainSpec {
        uuid: Uuid::new_v4(),
        name: "bench".to_owned(),
        memory_bytes: 64 << 20,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Tcg,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![Disk {
            id,
            source,
            format,
            bus,
            cache: CacheMode::None.into(),
            sector: Sector::Fixed(None),
        }],
        cdroms: Vec::new(),
        interfaces: Vec::new(),
    })
}

fn tell(operation: &str, subject: &str, value: f64) {
    println!("{}", serde_json::json!({ "operation": operation, "subject": subject, "value": value }));
}

/// What it takes to know what O_DIRECT is worth under a disk: on a mount that nobody has looked at, and on one that is known.
async fn looks(libvirt: &Libvirt, spec: &DomainSpec) -> Result<()> {
    let place = Path::new("/srv/looked-at");
    let _mounted = LoopDisk { kind: "ext4", sector_bytes: 512, options: "" }.mount(place)?;
    let disk = spec.disks.first().ok_or("no disk")?;
    let supposed = |file: &str| Supposed {
        file: place.join(file),
        format: disk.format,
        bus: disk.bus,
        cache: CacheChoice::Auto.into(),
        sector: disk.sector,
    };
    for (subject, file) in [("a new mount", "a.raw"), ("a known one", "b.raw")] {
        std::fs::write(place.join(file), [0; 4096])?;
        let begin = Instant::now();
        let decided = libvirt.suppose(&[supposed(file)]).await.into_iter().next().ok_or("no answer")??;
        tell("probe of O_DIRECT", subject, begin.elapsed().as_secs_f64());
        if decided.mode != CacheMode::None {
            return Err(format!("ext4 does not take O_DIRECT: {}", decided.why).into());
        }
    }
    Ok(())
}

/// The hypervisor's start beside `virsh start`, of one domain.
async fn starts(libvirt: &Libvirt, spec: &DomainSpec, ours_first: bool) -> Result<()> {
    for ours in [ours_first, !ours_first] {
        let begin = Instant::now();
        if ours {
            libvirt.act(spec.uuid, START, Attempt::First).await?;
        } else {
            virsh(["start", &spec.name])?;
        }
        let passed = begin.elapsed().as_secs_f64();
        tell("start of a domain", if ours { "cairn" } else { "virsh start" }, passed);
        libvirt.act(spec.uuid, Action::Destroy, Attempt::Again).await?;
    }
    Ok(())
}

/// Changes of a mode, and the longest time in which the guest got no answer to a write, with them and without.
async fn changes(libvirt: &Libvirt, spec: &DomainSpec) -> Result<()> {
    libvirt.act(spec.uuid, START, Attempt::First).await?;
    let writes = listen(&spec.name)?;
    writes.recv_timeout(Duration::from_secs(120))?;
    let disk = spec.disks.first().ok_or("no disk")?.id;
    tokio::time::sleep(WINDOW).await;
    tell("longest pause of a guest", "left alone", longest(&writes, Instant::now()));
    let begin = Instant::now();
    let modes = [CacheMode::Writeback, CacheMode::None];
    for mode in modes.into_iter().cycle().take(CHANGES) {
        let one = Instant::now();
        libvirt.change_cache(spec.uuid, &[(disk, mode.into())], Attempt::First).await?;
        tell("live change of a mode", "cairn", one.elapsed().as_secs_f64());
    }
    tokio::time::sleep(WINDOW.saturating_sub(begin.elapsed())).await;
    tell("longest pause of a guest", "cairn", longest(&writes, Instant::now()));
    libvirt.act(spec.uuid, Action::Destroy, Attempt::First).await?;
    Ok(())
}

/// When each write was answered, as the guest says on its serial line.
fn listen(domain: &str) -> Result<Receiver<Instant>> {
    let pty = virsh(["ttyconsole", domain])?;
    let mut line = std::fs::OpenOptions::new().read(true).write(true).open(pty)?;
    line.flush()?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut byte = [0; 1];
        while line.read_exact(&mut byte).is_ok() && sender.send(Instant::now()).is_ok() {}
    });
    Ok(receiver)
}

/// The longest time between two of those that have come until `end`.
fn longest(writes: &Receiver<Instant>, end: Instant) -> f64 {
    let times: Vec<Instant> = writes.try_iter().take_while(|time| *time < end).collect();
    let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    gaps.max().unwrap_or_default().as_secs_f64()
}
