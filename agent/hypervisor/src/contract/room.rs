//! What a case works with: names of its own, specs that make small domains, and sentences for what is not as it should be.

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Fixture;
use crate::cache::CachePlan;
use crate::error::{Error, Kind};
use crate::interface::{Attempt, Hypervisor};
use crate::lifecycle::{Action, Start};
use crate::simulated::GuestKind;
use crate::spec::{
    AccelChoice, BootDevice, CacheChoice, CacheMode, CacheRequest, CdromDrive, Disk, DiskBus, DiskId,
    DomainSpec, Firmware, Format, Guest, Machine, Sector,
};
use crate::state::{Domain, Effective};
use crate::storage::{Volume, VolumeSpec};

pub(super) const MIB: u64 = 1 << 20;

pub(super) const START: Action = Action::Start(Start::Running);
pub(super) const START_PAUSED: Action = Action::Start(Start::Paused);

/// How long a guest that will not answer has.
pub(super) const SHORT: Duration = Duration::from_secs(2);

/// How long one has that is not waited for.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// What a case works with.
pub struct Room {
    pub(super) fixture: Arc<dyn Fixture>,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    case: &'static str,
    identities: AtomicU64,
}

impl Room {
    pub(super) async fn new(fixture: Arc<dyn Fixture>, case: &'static str) -> Self {
        let hypervisor = fixture.hypervisor().await;
        Self { fixture, hypervisor, case, identities: AtomicU64::new(0) }
    }

    /// Ends and forgets all domains of the case.
    pub(super) async fn clear(&self) -> Result<(), String> {
        let prefix = self.name("");
        let domains = self.hypervisor.domains().await.map_err(|error| error.to_string())?;
        for domain in domains.into_iter().filter(|domain| domain.name.starts_with(&prefix)) {
            let hypervisor = &self.hypervisor;
            hypervisor
                .act(domain.uuid, Action::Destroy, Attempt::Again)
                .await
                .map_err(|error| error.to_string())?;
            hypervisor.undefine(domain.uuid, Attempt::Again).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// An identity that no other case has: the case's name, hashed as by FNV-1a, and a number.
    pub(super) fn uuid(&self) -> Uuid {
        let hash = self.case.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let number = self.identities.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u64_pair(hash, number)
    }

    pub(super) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.case)
    }

    /// A path in the folder that takes O_DIRECT.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.fixture.folder().join(self.name(file))
    }

    /// A path in the folder that does not.
    pub(super) fn path_without_direct_io(&self, file: &str) -> PathBuf {
        self.fixture.folder_without_direct_io().join(self.name(file))
    }

    /// A domain with an empty CD-ROM drive, and nothing to boot.
    pub(super) fn bare(&self, suffix: &str) -> DomainSpec {
        DomainSpec {
            uuid: self.uuid(),
            name: self.name(suffix),
            memory_bytes: 32 * MIB,
            vcpus: 1,
            machine: Machine::Q35,
            firmware: Firmware::Bios,
            accel: AccelChoice::Tcg,
            guest: Guest::Linux,
            boot: vec![BootDevice::Cdrom],
            disks: Vec::new(),
            cdroms: vec![CdromDrive::empty(CacheChoice::Writeback)],
            interfaces: Vec::new(),
        }
    }

    /// The same, and a guest boots from its root disk.
    pub(super) async fn with_guest(&self, suffix: &str, guest: GuestKind) -> DomainSpec {
        let path = self.path(&format!("{suffix}.root"));
        self.fixture.guest(&path, guest).await;
        self.with_root(suffix, path, CacheMode::Writeback)
    }

    /// The same, with a raw root disk that is there, or not.
    pub(super) fn with_root(
        &self,
        suffix: &str,
        path: PathBuf,
        cache: impl Into<CacheRequest>,
    ) -> DomainSpec {
        let disks = vec![self.disk(path, Format::Raw, cache)];
        DomainSpec { boot: vec![BootDevice::Hd], disks, ..self.bare(suffix) }
    }

    /// A disk on virtio.
    pub(super) fn disk(&self, source: PathBuf, format: Format, cache: impl Into<CacheRequest>) -> Disk {
        let (id, cache) = (DiskId(self.uuid()), cache.into().accepting_loss());
        Disk { id, source, format, bus: DiskBus::Virtio, cache, sector: Sector::Fixed(None) }
    }

    /// A disk on a blank raw volume that is made for it.
    pub(super) async fn blank_disk(&self, file: &str, cache: impl Into<CacheRequest>) -> Disk {
        let path = self.path(file);
        self.blank(path.clone()).await;
        self.disk(path, Format::Raw, cache)
    }

    /// Makes a raw volume of 1 MiB.
    pub(super) async fn blank(&self, path: PathBuf) -> Volume {
        let spec = VolumeSpec { path, format: Format::Raw, size_bytes: Some(MIB), backing: None };
        let made = self.hypervisor.create_volume(&spec, Attempt::First).await;
        done(made, "making a blank volume")
    }

    /// An image on a blank raw volume that is made for it.
    pub(super) async fn media(&self, file: &str) -> PathBuf {
        let source = self.path(file);
        self.blank(source.clone()).await;
        source
    }

    pub(super) async fn define(&self, spec: &DomainSpec) -> Domain {
        done(self.hypervisor.define(spec, Attempt::First).await, "defining a domain")
    }

    pub(super) async fn domain(&self, uuid: Uuid) -> Domain {
        done(self.hypervisor.domain(uuid).await, "looking at a domain")
    }

    /// Does what nobody tried before, and which has to work.
    pub(super) async fn settle(&self, uuid: Uuid, plan: &CachePlan) -> Domain {
        done(self.hypervisor.settle_cache(uuid, plan, Attempt::First).await, "settling cache modes")
    }

    /// Does what nobody tried before, and which has to work.
    pub(super) async fn act(&self, uuid: Uuid, action: Action) -> Domain {
        done(self.hypervisor.act(uuid, action, Attempt::First).await, &format!("{action:?}"))
    }

    /// Defines a domain and starts it with stopped processors, which is enough for all but guests.
    pub(super) async fn paused(&self, spec: &DomainSpec) -> Domain {
        self.define(spec).await;
        self.act(spec.uuid, START_PAUSED).await
    }

    /// Defines a domain, starts it and waits until its guest has written a line.
    pub(super) async fn booted(&self, spec: &DomainSpec) {
        self.define(spec).await;
        self.act(spec.uuid, START).await;
        self.writes(spec.uuid, 0).await;
    }

    /// Length of a console log.
    pub(super) async fn console_size(&self, uuid: Uuid) -> u64 {
        done(self.hypervisor.console_log(uuid, 0, 0).await, "looking at the console log").size
    }

    /// Waits until a console log is longer than that, and ends a line.
    pub(super) async fn writes(&self, uuid: Uuid, beyond: u64) {
        self.eventually("the guest writes a line", || async move {
            let log = done(self.hypervisor.console_log(uuid, beyond, 4096).await, "reading the console log");
            log.bytes.ends_with(b"\n")
        })
        .await;
    }

    /// Waits until something is so.
    pub(super) async fn eventually<F: Future<Output = bool>>(&self, what: &str, so: impl Fn() -> F) {
        let start = Instant::now();
        while !so().await {
            assert!(start.elapsed() < self.fixture.patience(), "this does not come about: {what}");
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// What came of something that has to work.
#[track_caller]
pub(super) fn done<T>(result: Result<T, Error>, what: &str) -> T {
    match result {
        Ok(done) => done,
        Err(error) => panic!("{what} failed ({:?}): {error}", error.kind()),
    }
}

/// The error of something that has to be refused.
#[track_caller]
pub(super) fn refused<T: Debug>(result: Result<T, Error>, kind: Kind, what: &str) -> Error {
    match result {
        Ok(done) => panic!("{what} worked and should have been refused as {kind:?}; it gave {done:?}"),
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("{what} was refused as {:?} and not as {kind:?}: {error}", error.kind()),
    }
}

/// Checks what is said of a disk's cache mode while nobody changed it.
#[track_caller]
pub(super) fn check_cache(cache: &Effective, mode: CacheMode, active: bool, what: &str) {
    check_choice(cache, mode.into(), mode, active, what);
}

/// The same where what was asked for is another word.
#[track_caller]
pub(super) fn check_choice(
    cache: &Effective,
    choice: CacheChoice,
    mode: CacheMode,
    active: bool,
    what: &str,
) {
    let expected = (choice, mode, active.then_some(mode.is_direct()));
    assert_eq!((cache.requested, cache.mode, cache.direct), expected, "{what}, set to `{choice}`: {cache:?}");
    let begins = format!("asked for `{choice}`");
    assert!(
        cache.reason.starts_with(&begins),
        "{what}, set to `{choice}`, gives another reason: {}",
        cache.reason
    );
}

/// Checks an error about a file that was not found.
#[track_caller]
pub(super) fn names(error: &Error, path: &std::path::Path) {
    let sentence = error.to_string();
    let path = path.display().to_string();
    assert!(sentence.contains(&path), "an error does not name `{path}`: {sentence}");
}
