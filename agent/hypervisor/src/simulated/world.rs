//! All that the simulated host remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::file::{File, GuestKind};
use super::point::{Call, Gate, Moment};
use super::vm::Vm;
use crate::cache::Layer;
use crate::cache::evidence::{Answer, By, Evidence, PAGE_BYTES, Tried};
use crate::error::Error;
use crate::spec::{Accel, CacheMode};
use crate::state::{Change, Domain, Host};

const GIB: u64 = 1 << 30;
/// Size of a file system that nobody gave one.
const CAPACITY_BYTES: u64 = 1024 * GIB;

pub(super) struct World {
    pub(super) host: Host,
    pub(super) domains: BTreeMap<Uuid, Vm>,
    /// Domains of somebody else, by identity.
    pub(super) foreign: BTreeMap<Uuid, String>,
    pub(super) files: BTreeMap<PathBuf, File>,
    pub(super) missing_folders: BTreeSet<PathBuf>,
    /// Below these O_DIRECT is refused.
    pub(super) refusing: BTreeSet<PathBuf>,
    /// Below these O_DIRECT takes blocks of 4096 bytes.
    pub(super) large_blocks: BTreeSet<PathBuf>,
    /// Below these lies what other hosts have, too.
    pub(super) shared: BTreeSet<PathBuf>,
    pub(super) capacities: BTreeMap<PathBuf, u64>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) unavailable: Option<String>,
    pub(super) faults: Vec<(Call, Moment, Error)>,
    pub(super) gates: BTreeMap<(Call, Moment), Arc<Gate>>,
    pub(super) delays: BTreeMap<Call, Duration>,
    pub(super) calls: Vec<Call>,
}

impl World {
    pub(super) fn new(changes: broadcast::Sender<Change>) -> Self {
        let host = Host {
            hypervisor: Ok("simulated".to_owned()),
            accel: Accel::Tcg,
            accel_reason: "this host is simulated".to_owned(),
            uefi: true,
        };
        Self {
            host,
            domains: BTreeMap::new(),
            foreign: BTreeMap::new(),
            files: BTreeMap::new(),
            missing_folders: BTreeSet::new(),
            refusing: BTreeSet::new(),
            large_blocks: BTreeSet::new(),
            shared: BTreeSet::new(),
            capacities: BTreeMap::new(),
            changes,
            unavailable: None,
            faults: Vec::new(),
            gates: BTreeMap::new(),
            delays: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    pub(super) fn gate(&self, call: Call, moment: Moment) -> Option<Arc<Gate>> {
        self.gates.get(&(call, moment)).cloned()
    }

    pub(super) fn delay(&self, call: Call, moment: Moment) -> Duration {
        match moment {
            Moment::Before => self.delays.get(&call).copied().unwrap_or_default(),
            Moment::After => Duration::ZERO,
        }
    }

    pub(super) fn fault(&mut self, call: Call, moment: Moment) -> Result<(), Error> {
        if let (Moment::Before, true, Some(cause)) = (moment, call.needs_libvirt(), &self.unavailable) {
            return Err(Error::Unavailable { cause: cause.clone() });
        }
        let planned = self.faults.iter().position(|(whose, when, _)| (*whose, *when) == (call, moment));
        planned.map_or(Ok(()), |at| Err(self.faults.remove(at).2))
    }

    pub(super) fn vm(&mut self, uuid: Uuid) -> Result<&mut Vm, Error> {
        self.domains.get_mut(&uuid).ok_or(Error::NoDomain { uuid })
    }

    /// A domain that somebody wants to do something to.
    pub(super) fn ours(&mut self, uuid: Uuid) -> Result<&mut Vm, Error> {
        match self.foreign.get(&uuid) {
            Some(name) => Err(Error::Foreign { name: name.clone() }),
            None => self.vm(uuid),
        }
    }

    /// Does something to a domain and tells everybody.
    pub(super) fn change(&mut self, uuid: Uuid, how: impl FnOnce(&mut Vm)) -> Result<Domain, Error> {
        let vm = self.vm(uuid)?;
        how(vm);
        let domain = vm.domain();
        self.tell(Change::Changed(Box::new(domain.clone())));
        Ok(domain)
    }

    pub(super) fn tell(&self, change: Change) {
        // Nobody has to listen.
        let _ = self.changes.send(change);
    }

    pub(super) fn file(&self, path: &Path) -> Result<&File, Error> {
        self.files.get(path).ok_or_else(|| Error::NoVolume { path: path.to_owned() })
    }

    /// A file and those under it, topmost first.
    fn chain<'a>(&'a self, path: &'a Path) -> Result<Vec<(&'a Path, &'a File)>, Error> {
        let mut chain = Vec::new();
        let mut next = Some(path);
        while let Some(path) = next {
            let file = self.file(path)?;
            chain.push((path, file));
            next = file.backing.as_deref();
        }
        Ok(chain)
    }

    /// What O_DIRECT is worth at a file and at those under it.
    pub(super) fn direct_io(&self, file: &Path) -> Result<Vec<Layer>, Error> {
        let folder = file.parent().unwrap_or(file);
        if self.missing_folders.iter().any(|missing| folder.starts_with(missing)) {
            return Err(Error::NoVolume { path: file.to_owned() });
        }
        // Of a file that is not there its folder tells, and what is under one that is missing is left to the start.
        let (mut layers, mut next) = (Vec::new(), Some(file));
        while let Some(path) = next.filter(|path| layers.is_empty() || self.files.contains_key(*path)) {
            layers.push(self.layer(path));
            next = self.files.get(path).and_then(|file| file.backing.as_deref());
        }
        Ok(layers)
    }

    pub(super) fn layer(&self, path: &Path) -> Layer {
        let below = |folders: &BTreeSet<PathBuf>| folders.iter().any(|above| path.starts_with(above));
        let refusing = self.refusing.iter().find(|above| path.starts_with(above));
        let failed = Tried::Failed(Errno::INVAL);
        let (open, sector, answer) = match refusing {
            Some(_) => (failed, failed, Answer::Refused(Errno::INVAL)),
            None if below(&self.large_blocks) => {
                (Tried::Worked, failed, Answer::Larger { bytes: PAGE_BYTES })
            }
            None => (Tried::Worked, Tried::Worked, Answer::Direct),
        };
        let evidence = Evidence {
            mount: refusing.map_or_else(|| PathBuf::from("/"), Clone::clone),
            file_system: "simulated".to_owned(),
            device: "0:0".to_owned(),
            statx: None,
            open,
            by: By::Writing,
            sector,
            page: open,
        };
        let folder = path.parent().unwrap_or(path).to_owned();
        Layer { path: path.to_owned(), folder, evidence, answer }
    }

    /// What QEMU says when it opens a disk.
    pub(super) fn open(&self, path: &Path, mode: CacheMode) -> Result<(), Error> {
        let chain = self.chain(path)?;
        let refused = |path: &Path| self.refusing.iter().any(|folder| path.starts_with(folder));
        match chain.into_iter().map(|(path, _)| path).find(|path| mode.is_direct() && refused(path)) {
            None => Ok(()),
            Some(path) => Err(Error::DirectIo {
                path: path.to_owned(),
                mode,
                qemu: format!("Could not open '{}': filesystem does not support O_DIRECT", path.display()),
            }),
        }
    }

    /// What boots from a disk.
    pub(super) fn guest(&self, path: &Path) -> Option<GuestKind> {
        self.chain(path).ok()?.into_iter().find_map(|(_, file)| file.guest)
    }

    /// The domain that has a file, as a disk, under one, or in a drive.
    pub(super) fn user(&self, path: &Path) -> Option<String> {
        let on = |top: &Path| {
            top == path || self.chain(top).is_ok_and(|chain| chain.iter().any(|(one, _)| *one == path))
        };
        let has = |vm: &&Vm| vm.sources().any(on);
        self.domains.values().find(has).map(|vm| vm.spec.name.clone())
    }

    /// Where the file system of a path begins.
    fn mount(&self, path: &Path) -> &Path {
        let sized = path.ancestors().find_map(|above| self.capacities.get_key_value(above));
        sized.map_or(Path::new("/"), |(mount, _)| mount)
    }

    /// Size of the file system of a path, and what of it is left.
    pub(super) fn file_system(&self, path: &Path) -> (u64, u64) {
        let mount = self.mount(path);
        let capacity = self.capacities.get(mount).copied().unwrap_or(CAPACITY_BYTES);
        let on_it = self.files.iter().filter(|(path, _)| self.mount(path) == mount);
        let used = on_it.fold(0_u64, |sum, (_, file)| sum.saturating_add(file.allocated_bytes));
        (capacity, capacity.saturating_sub(used))
    }

    /// Whether `more_bytes` can be written to `path`.
    pub(super) fn space(&self, path: &Path, more_bytes: u64) -> Result<(), Error> {
        let (_, available) = self.file_system(path);
        if more_bytes <= available {
            return Ok(());
        }
        let cause = format!("No space left on device: {available} of {more_bytes} bytes");
        Err(Error::NoSpace { path: path.to_owned(), cause })
    }
}
