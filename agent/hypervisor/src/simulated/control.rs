//! What a test makes the twin do: fail, wait, refuse O_DIRECT, or change behind the agent's back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::Simulated;
use super::file::{File, GuestKind};
use super::point::{Call, Hold, Moment};
use crate::error::Error;
use crate::interface::Attempt;
use crate::lifecycle::{Action, Start};
use crate::spec::{DiskId, Format};
use crate::state::{Change, Domain, Host, State};

/// Size of a disk that [`Control::guest`] lays down.
const GUEST_DISK_BYTES: u64 = 1 << 20;

/// The strings that a [`Simulated`] hangs on. Clones hold the same ones.
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) twin: Simulated,
}

/// What somebody else does on the host: to a domain as with `virsh`, or as the guest of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// `virsh start`
    Start(Uuid),
    /// `virsh destroy`
    Destroy(Uuid),
    /// `virsh suspend`
    Suspend(Uuid),
    /// `virsh resume`
    Resume(Uuid),
    /// `virsh undefine`
    Undefine(Uuid),
    /// `virsh define` of a domain that is none of ours.
    Define {
        /// Its identity.
        uuid: Uuid,
        /// Its name.
        name: String,
    },
    /// A guest writes a qcow2 header to the first sectors of its raw disk.
    Forge {
        /// The disk.
        volume: PathBuf,
        /// The file of the host that the header names as the image under it.
        names: PathBuf,
    },
}

impl Control {
    /// Lays a file down, over what was there.
    pub fn place(&self, path: impl Into<PathBuf>, file: File) {
        self.twin.world().files.insert(path.into(), file);
    }

    /// Lays down a raw disk that such a guest boots from; if there is a file, the guest is put on it.
    pub fn guest(&self, path: impl Into<PathBuf>, guest: GuestKind) {
        let fresh = || File::image(Format::Raw, GUEST_DISK_BYTES, guest);
        self.twin.world().files.entry(path.into()).or_insert_with(fresh).guest = Some(guest);
    }

    /// Takes a file away, whoever has it.
    pub fn remove(&self, path: &Path) {
        self.twin.world().files.remove(path);
    }

    /// What the host says of itself from now on.
    pub fn host(&self, host: Host) {
        self.twin.world().host = host;
    }

    /// Takes a folder away: nothing can be made below it until it is asked for by its path.
    pub fn remove_folder(&self, path: impl Into<PathBuf>) {
        self.twin.world().missing_folders.insert(path.into());
    }

    /// Below this path no file opens with O_DIRECT from now on.
    pub fn refuse_direct_io(&self, path: impl Into<PathBuf>) {
        self.twin.world().refusing.insert(path.into());
    }

    /// Below this path O_DIRECT takes blocks of 4096 bytes from now on.
    pub fn large_blocks(&self, path: impl Into<PathBuf>) {
        self.twin.world().large_blocks.insert(path.into());
    }

    /// Below this path lies what other hosts have, too.
    pub fn share(&self, path: impl Into<PathBuf>) {
        self.twin.world().shared.insert(path.into());
    }

    /// Gives a folder a file system of its own, of this size.
    pub fn capacity(&self, path: impl Into<PathBuf>, bytes: u64) {
        self.twin.world().capacities.insert(path.into(), bytes);
    }

    /// Makes the next such call fail, once, at that moment: [`Moment::After`] is a call that did its work and is not known to
    /// have. Several wait in line.
    pub fn fail_next(&self, call: Call, moment: Moment, error: Error) {
        self.twin.world().faults.push((call, moment, error));
    }

    /// Keeps every such call waiting at that moment until the hold is released or dropped.
    #[must_use]
    pub fn hold(&self, call: Call, moment: Moment) -> Hold {
        let hold = Hold::new();
        self.twin.world().gates.insert((call, moment), hold.gate.clone());
        hold
    }

    /// Makes every such call take this much longer, by tokio's clock.
    pub fn delay(&self, call: Call, duration: Duration) {
        self.twin.world().delays.insert(call, duration);
    }

    /// Ends libvirt: calls that need it fail with this cause until it is [`Control::available`] again. Domains run on, and
    /// volumes are made as before.
    pub fn unavailable(&self, cause: impl Into<String>) {
        let mut world = self.twin.world();
        world.unavailable = Some(cause.into());
        world.tell(Change::Resync);
    }

    /// Brings libvirt back. Listeners are told to look anew.
    pub fn available(&self) {
        let mut world = self.twin.world();
        world.unavailable = None;
        world.tell(Change::Resync);
    }

    /// Tells listeners to look anew, as after changes that were lost.
    pub fn resync(&self) {
        self.twin.world().tell(Change::Resync);
    }

    /// Does what somebody else would.
    ///
    /// # Errors
    /// As virsh: no such domain, not in this state, name taken.
    pub fn outside(&self, what: Outside) -> Result<(), Error> {
        let mut world = self.twin.world();
        let (uuid, action) = match what {
            Outside::Start(uuid) => (uuid, Action::Start(Start::Running)),
            Outside::Destroy(uuid) => (uuid, Action::Destroy),
            Outside::Suspend(uuid) => (uuid, Action::Suspend),
            Outside::Resume(uuid) => (uuid, Action::Resume),
            Outside::Undefine(uuid) => {
                return match world.foreign.remove(&uuid) {
                    Some(_) => Ok(()),
                    None => world.undefine(uuid, Attempt::First),
                };
            }
            Outside::Define { uuid, name } => {
                if world.domains.values().any(|vm| vm.spec.name == name) {
                    return Err(Error::NameTaken { name });
                }
                world.foreign.insert(uuid, name);
                return Ok(());
            }
            Outside::Forge { volume, names } => {
                let file = world.files.get_mut(&volume);
                file.ok_or_else(|| Error::NoVolume { path: volume.clone() })?.forged = Some(names);
                return Ok(());
            }
        };
        world.act(uuid, action, Attempt::First).map(|_| ())
    }

    /// Ends QEMU badly.
    ///
    /// # Errors
    /// [`Error::NoDomain`]
    pub fn crash(&self, uuid: Uuid) -> Result<Domain, Error> {
        self.twin.world().change(uuid, |vm| vm.stop(State::Crashed))
    }

    /// The guest turns itself off, unasked.
    ///
    /// # Errors
    /// [`Error::NoDomain`]
    pub fn power_off(&self, uuid: Uuid) -> Result<Domain, Error> {
        self.twin.world().change(uuid, |vm| vm.stop(State::Shutoff))
    }

    /// The guest writes to its first serial line.
    ///
    /// # Errors
    /// [`Error::NoDomain`]
    pub fn write_console(&self, uuid: Uuid, bytes: &[u8]) -> Result<(), Error> {
        self.twin.world().vm(uuid)?.console.extend_from_slice(bytes);
        Ok(())
    }

    /// Somebody has QEMU open a disk anew while the domain runs, with or without O_DIRECT.
    ///
    /// # Errors
    /// [`Error::NoDomain`]
    pub fn reopen(&self, uuid: Uuid, disk: DiskId, direct: bool) -> Result<Domain, Error> {
        self.twin.world().change(uuid, |vm| vm.reopen(disk, direct))
    }

    /// Every call so far, in the order in which they came, those included that failed.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.twin.world().calls.clone()
    }
}
