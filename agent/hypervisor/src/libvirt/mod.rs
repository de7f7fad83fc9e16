//! The hypervisor on libvirt and QEMU.
//!
//! What is known of domains is kept in [`registry`] and follows libvirt's events ([`follow`]): nothing is polled. Each
//! call asks libvirt for the state it acts on, and looks at the domain afterwards, so that its answer is true even
//! before the event arrives. When libvirt goes away, calls say so; when it is back, everything is looked at again.

mod console;
mod define;
mod devices;
mod evidence;
mod follow;
mod host;
mod look;
mod migrate;
mod nodes;
mod power;
mod refusal;
mod registry;
mod reopen;
mod settle;
mod since;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_libvirt::{Backoff, Connection, EventKind, Supervised};
use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::accel;
use crate::cache::left::Notes;
use crate::cache::{self, CachePlan, Decision, Prober, Supposed};
use crate::check::check_path;
use crate::error::{Error, Kind};
use crate::interface::{Attempt, Domains, Storage};
use crate::lifecycle::Action;
use crate::migration::Migration;
use crate::spec::{CacheRequest, Disk, DiskId, DomainSpec, Format};
use crate::state::{Change, ConsoleLog, Domain, Host};
use crate::storage::{Folder, Image, Volume, VolumeSpec};
use crate::survey::Survey;
use registry::Registry;

/// The events that tell all that a domain's description is made of.
const EVENTS: &[EventKind] = &[
    EventKind::Lifecycle,
    EventKind::IoError,
    EventKind::TrayChange,
    EventKind::DeviceAdded,
    EventKind::DeviceRemoved,
];

/// The sockets that libvirt may listen on, the preferred one first.
#[must_use]
pub fn sockets() -> Vec<PathBuf> {
    agent_libvirt::Options::default().sockets
}

/// Where things are on the host, and how long to wait.
#[derive(Clone)]
pub struct Options {
    /// How libvirt is reached.
    pub connect: agent_libvirt::Options,
    /// How long to wait between attempts to reach it.
    pub backoff: Backoff,
    /// Where libvirt keeps the process ids of QEMU.
    pub pid_folder: PathBuf,
    /// Where libvirt keeps QEMU's messages.
    pub log_folder: PathBuf,
    /// Where guests' serial lines are kept. Made if it is missing.
    pub console_folder: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// What decides about KVM.
    pub accel: accel::Sources,
    /// How long a guest has to let go of a disk, and to leave the tray open that a medium is to be laid into.
    pub release_patience: Duration,
    /// How long a guest has to take its power button before it is pressed again.
    pub press_again_after: Duration,
    /// How long file systems under a disk have to say what O_DIRECT is worth there.
    pub probe_patience: Duration,
    /// Where is noted in which folders files of our own may lie while they are tried. Made if it is missing; without it nothing
    /// is noted, and what an agent that was killed left stays until somebody looks there.
    pub probe_notes: Option<PathBuf>,
    /// How long a call waits for libvirt that has just started, or has just come back.
    pub connect_patience: Duration,
}

impl Options {
    /// Those of an ordinary host, with guests' serial lines kept in `console_folder`.
    #[must_use]
    pub fn new(console_folder: PathBuf) -> Self {
        Self {
            connect: agent_libvirt::Options::default(),
            backoff: Backoff::default(),
            pid_folder: "/run/libvirt/qemu".into(),
            log_folder: "/var/log/libvirt/qemu".into(),
            console_folder,
            proc: "/proc".into(),
            accel: accel::Sources::default(),
            release_patience: Duration::from_secs(20),
            press_again_after: Duration::from_secs(10),
            probe_patience: Duration::from_secs(10),
            probe_notes: None,
            connect_patience: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("sockets", &self.connect.sockets)
            .field("console_folder", &self.console_folder)
            .finish_non_exhaustive()
    }
}

/// Domains and volumes of this host.
#[derive(Debug)]
pub struct Libvirt {
    options: Options,
    supervised: Supervised,
    registry: Arc<Registry>,
    prober: Prober,
    follower: AbortHandle,
}

impl Libvirt {
    /// Starts connecting and following. Needs a tokio runtime, in which it works from then on. That libvirt is not there
    /// is told by each call, and mends itself when it is.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let supervised = Supervised::start(options.connect.clone(), EVENTS.to_vec(), options.backoff);
        let registry = Arc::new(Registry::new(evidence::Source {
            proc: options.proc.clone(),
            pid_folder: options.pid_folder.clone(),
        }));
        let follower = tokio::spawn(follow::run(Arc::clone(&registry), supervised.notices())).abort_handle();
        let prober = Prober::new(options.probe_patience, Notes::new(options.probe_notes.clone()));
        Self { options, supervised, registry, prober, follower }
    }

    /// The connection, once the registry is true: waits a little for a libvirt that has just started.
    async fn connection(&self) -> Result<Connection, Error> {
        if !self.registry.synced(self.options.connect_patience).await {
            let cause = match self.supervised.connection() {
                Err(error) => error.to_string(),
                Ok(_) => "it does not answer".to_owned(),
            };
            return Err(Error::Unavailable { cause });
        }
        self.supervised.connection().map_err(|error| Error::Unavailable { cause: error.to_string() })
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Does something; in a later attempt once more if it fails. libvirt carries on with what a dead agent asked for, and does
/// one thing after the other with a domain: what failed may have failed because the earlier attempt got there first, and
/// then it is found done.
async fn settled<T, F: Future<Output = Result<T, Error>>>(
    attempt: Attempt,
    work: impl Fn() -> F,
) -> Result<T, Error> {
    match (work().await, attempt) {
        (Err(error), Attempt::Again) => match error.kind() {
            Kind::Invalid | Kind::GuestSilent | Kind::Unavailable | Kind::Interrupted => Err(error),
            Kind::NotFound
            | Kind::Exists
            | Kind::Unsupported
            | Kind::Conflict
            | Kind::DirectIo
            | Kind::LossNotAccepted
            | Kind::NoSpace
            | Kind::Failed => work().await,
        },
        (done, _) => done,
    }
}

#[async_trait]
impl Domains for Libvirt {
    async fn host(&self) -> Host {
        self.describe_host().await
    }

    async fn domains(&self) -> Result<Vec<Domain>, Error> {
        self.connection().await?;
        Ok(self.registry.all())
    }

    async fn domain(&self, uuid: Uuid) -> Result<Domain, Error> {
        self.connection().await?;
        self.registry.domain(uuid).ok_or(Error::NoDomain { uuid })
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.registry.changes()
    }

    async fn define(&self, spec: &DomainSpec, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.define_domain(spec, attempt)).await
    }

    async fn act(&self, uuid: Uuid, action: Action, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.act_on_power(uuid, action, attempt)).await
    }

    async fn settle_cache(&self, uuid: Uuid, plan: &CachePlan, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.settle(uuid, plan)).await
    }

    async fn change_cache(
        &self,
        uuid: Uuid,
        disks: &[(DiskId, CacheRequest)],
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        settled(attempt, || self.change_modes(uuid, disks)).await
    }

    async fn suppose(&self, disks: &[Supposed]) -> Vec<Result<Decision, Error>> {
        let mut judged = Vec::with_capacity(disks.len());
        for disk in disks {
            judged.push(cache::settle(&self.prober, disk.question()).await);
        }
        judged
    }

    async fn migration(&self, uuid: Uuid) -> Result<Migration, Error> {
        self.judge_migration(uuid).await
    }

    async fn undefine(&self, uuid: Uuid, attempt: Attempt) -> Result<(), Error> {
        settled(attempt, || self.undefine_domain(uuid, attempt)).await
    }

    async fn attach_disk(&self, uuid: Uuid, disk: &Disk, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.attach(uuid, disk, attempt)).await
    }

    async fn detach_disk(&self, uuid: Uuid, disk: DiskId, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.detach(uuid, disk, attempt)).await
    }

    async fn insert_media(
        &self,
        uuid: Uuid,
        drive: u8,
        media: &Path,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        settled(attempt, || self.insert(uuid, drive, media, attempt)).await
    }

    async fn eject_media(&self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error> {
        settled(attempt, || self.eject(uuid, drive, attempt)).await
    }

    async fn console_log(&self, uuid: Uuid, offset: u64, limit: u64) -> Result<ConsoleLog, Error> {
        self.domain(uuid).await?;
        console::read(&self.console_file(uuid), offset, limit).await
    }

    async fn leave(&self) {
        self.supervised.end().await;
    }
}

#[async_trait]
impl Storage for Libvirt {
    async fn create_volume(&self, spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error> {
        volumes::create(spec, attempt).await
    }

    async fn resize_volume(
        &self,
        path: &Path,
        format: Format,
        size_bytes: u64,
        _: Attempt,
    ) -> Result<Volume, Error> {
        self.resize(path, format, size_bytes).await
    }

    async fn delete_volume(&self, path: &Path, attempt: Attempt) -> Result<(), Error> {
        self.delete(path, attempt).await
    }

    async fn volume(&self, path: &Path, format: Format) -> Result<Volume, Error> {
        volumes::inspect(path, format).await
    }

    async fn import_image(&self, source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
        volumes::import(source, path, attempt).await
    }

    async fn folder(&self, path: &Path) -> Result<Folder, Error> {
        volumes::folder(path).await
    }

    async fn survey(&self, path: &Path) -> Result<Survey, Error> {
        check_path(path)?;
        self.prober.survey(path).await
    }
}
