//! What is known of this host's domains: the last look at each, and who wants to hear of changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::evidence;
use crate::cache::Decision;
use crate::cache::live::reachable;
use crate::domain::{Described, DiskAt, Since};
use crate::spec::Disk;
use crate::state::{CdromState, Change, DiskState, Domain, Effective, MediaState, State};

/// How many changes are kept for a receiver that does not take them.
const CHANGES: usize = 1024;

/// The last look at a domain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How libvirt names it.
    pub handle: agent_libvirt::Domain,
    /// What it does.
    pub state: State,
    /// What it is made of; while it is active, what QEMU was given.
    pub described: Described,
    /// What libvirt finds doubtful.
    pub taints: Vec<String>,
    /// Its files under the names that the kernel knows them by, where those are others.
    pub real_paths: BTreeMap<PathBuf, PathBuf>,
}

/// All of ours, and their listeners.
#[derive(Debug)]
pub struct Registry {
    evidence: evidence::Source,
    seen: Mutex<BTreeMap<Uuid, Seen>>,
    changes: broadcast::Sender<Change>,
    /// Goes up with every change, for those who wait for one.
    version: watch::Sender<u64>,
    /// True while events arrive and all domains have been looked at.
    synced: watch::Sender<bool>,
    /// Held from a question to libvirt until its answer is kept and told, so that an older answer neither replaces a newer
    /// one nor is told after it.
    looking: tokio::sync::Mutex<()>,
    /// Domains whose disks we are having opened anew, and how often.
    changing: Mutex<BTreeMap<Uuid, usize>>,
}

/// As long as it lives, nobody finds out what became of a change that is under way.
#[derive(Debug)]
pub struct Changing<'a> {
    registry: &'a Registry,
    uuid: Uuid,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut changing = self.registry.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = changing.get_mut(&self.uuid) {
            *count -= 1;
        }
        changing.retain(|_, count| *count > 0);
    }
}

impl Registry {
    pub fn new(evidence: evidence::Source) -> Self {
        Self {
            evidence,
            seen: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
            version: watch::Sender::new(0),
            synced: watch::Sender::new(false),
            looking: tokio::sync::Mutex::default(),
            changing: Mutex::default(),
        }
    }

    /// Notes that disks of a domain are being opened anew.
    pub fn changing(&self, uuid: Uuid) -> Changing<'_> {
        *self.changing.lock().unwrap_or_else(PoisonError::into_inner).entry(uuid).or_default() += 1;
        Changing { registry: self, uuid }
    }

    /// Whether they are.
    pub fn is_changing(&self, uuid: Uuid) -> bool {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&uuid)
    }

    /// Where QEMU's processes are looked at.
    pub fn evidence(&self) -> &evidence::Source {
        &self.evidence
    }

    /// Keeps others from looking meanwhile.
    pub async fn look(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.looking.lock().await
    }

    /// Whether the registry is true; waits up to `patience` until it is.
    pub async fn synced(&self, patience: Duration) -> bool {
        let mut synced = self.synced.subscribe();
        let waited = tokio::time::timeout(patience, synced.wait_for(|synced| *synced)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Whether the registry is true now.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Notes whether it is true from now on.
    pub fn set_synced(&self, synced: bool) {
        if self.is_synced() == synced {
            return;
        }
        // Who listens lists all domains, and is told if that cannot be done. Who can list them again was told of it before: so
        // what is true again is told first, and what is true no more last. Nobody may be listening, here and below.
        if !synced {
            self.synced.send_replace(false);
        }
        let _ = self.changes.send(Change::Resync);
        if synced {
            self.synced.send_replace(true);
        }
    }

    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Keeps a look at one domain, and tells if it is news.
    pub fn keep(&self, seen: Seen) {
        let uuid = seen.handle.uuid;
        if self.seen(uuid).is_some_and(|before| before == seen) {
            return;
        }
        let changed = Change::Changed(Box::new(self.view(&seen)));
        self.lock().insert(uuid, seen);
        let _ = self.changes.send(changed);
        self.raise();
    }

    /// Forgets a domain.
    pub fn forget(&self, uuid: Uuid) {
        if self.lock().remove(&uuid).is_some() {
            let _ = self.changes.send(Change::Gone(uuid));
            self.raise();
        }
    }

    /// Forgets all but these.
    pub async fn keep_only(&self, uuids: &[Uuid]) {
        let _looking = self.look().await;
        let gone: Vec<Uuid> = self.lock().keys().filter(|uuid| !uuids.contains(uuid)).copied().collect();
        for uuid in gone {
            self.forget(uuid);
        }
    }

    fn raise(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// The last look at one.
    pub fn seen(&self, uuid: Uuid) -> Option<Seen> {
        self.lock().get(&uuid).cloned()
    }

    /// The last look at all.
    pub fn all_seen(&self) -> Vec<Seen> {
        self.lock().values().cloned().collect()
    }

    /// One, as it is.
    pub fn domain(&self, uuid: Uuid) -> Option<Domain> {
        self.seen(uuid).map(|seen| self.view(&seen))
    }

    /// All, by name.
    pub fn all(&self) -> Vec<Domain> {
        let mut all: Vec<Domain> = self.all_seen().iter().map(|seen| self.view(seen)).collect();
        all.sort_by(|one, next| one.name.cmp(&next.name));
        all
    }

    /// Waits until a domain is as wanted, or until `patience` is over. A domain that is gone is None.
    pub async fn wait(
        &self,
        uuid: Uuid,
        patience: Duration,
        mut wanted: impl FnMut(Option<&Seen>) -> bool,
    ) -> bool {
        let mut version = self.version.subscribe();
        let found = version.wait_for(|_| wanted(self.lock().get(&uuid)));
        matches!(tokio::time::timeout(patience, found).await, Ok(Ok(_)))
    }

    /// What others see. How QEMU has the files open is looked up each time: it can change without an event.
    fn view(&self, seen: &Seen) -> Domain {
        let active = seen.state.is_active();
        let open = active.then(|| self.evidence.open_files(&seen.described.name, seen.handle.uuid));
        let direct = |path: &Path| {
            let real = seen.real_paths.get(path).map_or(path, PathBuf::as_path);
            open.as_ref().map(|open| open.direct(real))
        };
        let described = &seen.described;
        let disks = described.disks.iter().map(|at| disk(at, direct(&at.disk.source)));
        let cdroms = described.drives.iter().map(|drive| CdromState {
            drive: drive.drive,
            target: drive.target.clone(),
            cache: drive.mode(),
            media: drive.media.as_ref().map(|source| MediaState {
                source: source.clone(),
                cache: match direct(source) {
                    None => Effective::of_inactive(&drive.decided),
                    Some((direct, evidence)) => Effective::of_active(&drive.decided, direct, &evidence),
                },
            }),
        });
        Domain {
            uuid: seen.handle.uuid,
            name: described.name.clone(),
            state: seen.state,
            memory_bytes: described.memory_bytes,
            vcpus: described.vcpus,
            machine: described.machine,
            firmware: described.firmware,
            accel: described.accel,
            disks: disks.collect(),
            cdroms: cdroms.collect(),
            interfaces: described.interfaces.clone(),
            vnc_socket: if active { described.vnc_socket.clone() } else { None },
            taints: seen.taints.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disk as others see it. `open` is how QEMU has it open and who says so; None: the domain is off.
fn disk(at: &DiskAt, open: Option<(Option<bool>, String)>) -> DiskState {
    let DiskAt { disk, target, decided, since, readonly, shareable } = at;
    let (cache, live) = match open {
        None => (Effective::of_inactive(decided), Vec::new()),
        Some((direct, evidence)) if *since == Since::default() => {
            let cache = Effective::of_active(decided, direct, &evidence);
            let live = reachable(&Decision { mode: cache.mode, ..decided.clone() });
            (cache, live)
        }
        Some((direct, evidence)) => {
            let now = at.in_force(direct);
            let cache = Effective::of_changed(decided, now, direct, &evidence);
            let live = reachable(&Decision { mode: cache.mode, ..now.clone() });
            (cache, live)
        }
    };
    let Disk { id, source, format, bus, cache: _, sector: _ } = disk;
    DiskState {
        id: *id,
        target: target.clone(),
        source: source.clone(),
        format: *format,
        bus: *bus,
        cache,
        live,
        readonly: *readonly,
        shareable: *shareable,
    }
}
