//! What a hypervisor does. There are two: libvirt with QEMU, and the simulated twin. One suite of tests, the contract, holds
//! both to the same behaviour.

use std::fmt::Debug;
use std::path::Path;

use async_trait::async_trait;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::cache::{CachePlan, Decision, Supposed};
use crate::error::Error;
use crate::lifecycle::Action;
use crate::migration::Migration;
use crate::spec::{CacheRequest, Disk, DiskId, DomainSpec, Format};
use crate::state::{Change, ConsoleLog, Domain, Host};
use crate::storage::{Folder, Image, Volume, VolumeSpec};
use crate::survey::Survey;

/// Whether something was perhaps tried before, by an agent that ended before it could say how that went.
///
/// A first attempt refuses what is already so: it was somebody else's doing. A later one takes it for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Nobody tried before.
    First,
    /// An earlier attempt may have got anywhere from nothing to everything.
    Again,
}

/// Virtual machines. Only domains that this interface defined are seen; others on the host are left alone.
///
/// A call that is given up, by dropping its future, may or may not have happened.
#[async_trait]
pub trait Domains: Debug + Send + Sync {
    /// What this host can do.
    async fn host(&self) -> Host;

    /// All domains, by name.
    async fn domains(&self) -> Result<Vec<Domain>, Error>;

    /// One domain.
    async fn domain(&self, uuid: Uuid) -> Result<Domain, Error>;

    /// What changes from now on, whoever changed it.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// Defines a domain; it is off afterwards. A later attempt replaces what an earlier one defined.
    async fn define(&self, spec: &DomainSpec, attempt: Attempt) -> Result<Domain, Error>;

    /// Starts, stops, pauses: see [`Action`].
    async fn act(&self, uuid: Uuid, action: Action, attempt: Attempt) -> Result<Domain, Error>;

    /// Settles in which modes the disks of a domain are opened from its next start on; what runs is not touched. It can be done
    /// in every state. A refusal leaves everything as it was.
    async fn settle_cache(&self, uuid: Uuid, plan: &CachePlan, attempt: Attempt) -> Result<Domain, Error>;

    /// Changes the modes of disks while the domain runs, and settles them for its next start. What needs a restart is refused
    /// before anything is done. If it fails, the old modes are in force. libvirt marks the domain as tainted for it, because it
    /// takes QEMU's monitor, and goes on telling the modes that the domain was started in.
    async fn change_cache(
        &self,
        uuid: Uuid,
        disks: &[(DiskId, CacheRequest)],
        attempt: Attempt,
    ) -> Result<Domain, Error>;

    /// In which mode each of these disks would be opened, or why not. Nothing is changed, and there need be no domain.
    async fn suppose(&self, disks: &[Supposed]) -> Vec<Result<Decision, Error>>;

    /// Whether a domain may migrate as its disks are open, and why not.
    async fn migration(&self, uuid: Uuid) -> Result<Migration, Error>;

    /// Removes a domain that is off, with its console log and its UEFI variables. Its volumes stay.
    async fn undefine(&self, uuid: Uuid, attempt: Attempt) -> Result<(), Error>;

    /// Adds a disk, at once if the domain runs, and for every later start.
    async fn attach_disk(&self, uuid: Uuid, disk: &Disk, attempt: Attempt) -> Result<Domain, Error>;

    /// Removes a disk. A running guest has to let go of it; one that does not is an error, and the disk stays.
    async fn detach_disk(&self, uuid: Uuid, disk: DiskId, attempt: Attempt) -> Result<Domain, Error>;

    /// Lays a raw image into a CD-ROM drive that is empty. It is opened in the drive's mode.
    async fn insert_media(
        &self,
        uuid: Uuid,
        drive: u8,
        media: &Path,
        attempt: Attempt,
    ) -> Result<Domain, Error>;

    /// Empties a CD-ROM drive.
    async fn eject_media(&self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error>;

    /// What the guest wrote to its first serial line, from `offset` on, at most `limit` bytes and
    /// [`ConsoleLog::LIMIT_BYTES`]. It outlives restarts of the domain. An offset beyond its end was one of an older log; then it is
    /// told from its beginning.
    async fn console_log(&self, uuid: Uuid, offset: u64, limit: u64) -> Result<ConsoleLog, Error>;

    /// Gives up what is being asked for, and waits until what runs the domains has answered. Nothing is called after that.
    async fn leave(&self);
}

/// Volumes.
#[async_trait]
pub trait Storage: Debug + Send + Sync {
    /// Makes a volume: all of it, or nothing.
    async fn create_volume(&self, spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error>;

    /// Makes a volume bigger, and tells the guest that runs on it. `format` is what was recorded of it: what a file begins with
    /// is its guest's, and means nothing.
    async fn resize_volume(
        &self,
        path: &Path,
        format: Format,
        size_bytes: u64,
        attempt: Attempt,
    ) -> Result<Volume, Error>;

    /// Removes a volume that no domain has, and that none lies on. Whether other volumes lie on it is not known here.
    async fn delete_volume(&self, path: &Path, attempt: Attempt) -> Result<(), Error>;

    /// One volume, whose format is what was recorded of it.
    async fn volume(&self, path: &Path, format: Format) -> Result<Volume, Error>;

    /// Copies `source` to `path`, all of it or nothing; holes stay holes. Its format is found out here, once and for all. An
    /// image that names other files is refused: it could name any.
    async fn import_image(&self, source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error>;

    /// What a folder offers. It is made if it is missing and the folder above is there.
    async fn folder(&self, path: &Path) -> Result<Folder, Error>;

    /// What a folder that is there is worth for disks. It takes seconds, and writes to files of its own in the folder.
    async fn survey(&self, path: &Path) -> Result<Survey, Error>;
}

/// Both.
pub trait Hypervisor: Domains + Storage {}

impl<T: Domains + Storage> Hypervisor for T {}
