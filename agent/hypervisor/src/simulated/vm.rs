//! One simulated domain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::file::GuestKind;
use crate::cache::live::reachable;
use crate::cache::{Decision, Decisions};
use crate::domain::{free_target, place};
use crate::lifecycle::Start;
use crate::spec::{Accel, Disk, DiskId, DomainSpec};
use crate::state::{CdromState, DiskState, Domain, Effective, MediaState, State};

/// How the twin knows what a file was opened with.
const EVIDENCE: &str = "the simulated QEMU";

/// What libvirt says of a domain whose monitor was used.
const TAINT: &str = "tainted: custom monitor control commands issued";

/// A domain: its definition, with what was attached since, and what it does.
#[derive(Debug, Clone)]
pub(super) struct Vm {
    pub(super) spec: DomainSpec,
    pub(super) accel: Accel,
    pub(super) state: State,
    /// What the first serial line brought, over all starts.
    pub(super) console: Vec<u8>,
    /// Names of the disks in the domain, in the order of the disks.
    targets: Vec<String>,
    /// Names of the drives.
    drives: Vec<String>,
    /// How its files are opened from the next start on.
    pub(super) next: Decisions,
    /// How they are open while it is active.
    live: Decisions,
    /// Disks that somebody had QEMU open anew, with or without O_DIRECT, while it ran.
    reopened: BTreeMap<DiskId, bool>,
    /// Modes that were changed while it runs.
    changed: BTreeMap<DiskId, Decision>,
    /// Whether its monitor was used since it was started.
    tainted: bool,
    /// What boots, and has not yet had a processor to write its first line with.
    booting: Option<Option<GuestKind>>,
    starts: usize,
}

impl Vm {
    pub(super) fn new(spec: &DomainSpec, accel: Accel, cache: Decisions) -> Self {
        let (disks, drives) = place(spec, &cache);
        Self {
            spec: spec.clone(),
            accel,
            state: State::Shutoff,
            console: Vec::new(),
            targets: disks.into_iter().map(|disk| disk.target).collect(),
            drives: drives.into_iter().map(|drive| drive.target).collect(),
            live: cache.clone(),
            next: cache,
            reopened: BTreeMap::new(),
            changed: BTreeMap::new(),
            tainted: false,
            booting: None,
            starts: 0,
        }
    }

    /// As callers see it.
    pub(super) fn domain(&self) -> Domain {
        let active = self.state.is_active();
        let cache = if active { &self.live } else { &self.next };
        let effective = |decided: &Decision, id: Option<DiskId>| {
            let changed = id.and_then(|id| self.changed.get(&id));
            let told = changed.unwrap_or(decided).mode.is_direct();
            let direct = Some(id.and_then(|id| self.reopened.get(&id)).copied().unwrap_or(told));
            match changed {
                _ if !active => Effective::of_inactive(decided),
                None => Effective::of_active(decided, direct, EVIDENCE),
                Some(now) => Effective::of_changed(decided, now, direct, EVIDENCE),
            }
        };
        let disks = self.spec.disks.iter().zip(&self.targets).zip(&cache.disks);
        let disks = disks.map(|((disk, target), decided)| {
            let cache = effective(decided, Some(disk.id));
            DiskState {
                id: disk.id,
                target: target.clone(),
                source: disk.source.clone(),
                format: disk.format,
                bus: disk.bus,
                live: if active {
                    reachable(&Decision { mode: cache.mode, ..decided.clone() })
                } else {
                    Vec::new()
                },
                cache,
                readonly: false,
                shareable: false,
            }
        });
        let drives = (0..=u8::MAX).zip(&self.spec.cdroms).zip(self.drives.iter().zip(&cache.drives));
        let cdroms = drives.map(|((drive, cdrom), (target, decided))| CdromState {
            drive,
            target: target.clone(),
            cache: decided.mode,
            media: cdrom.media.clone().map(|source| MediaState { source, cache: effective(decided, None) }),
        });
        Domain {
            uuid: self.spec.uuid,
            name: self.spec.name.clone(),
            state: self.state,
            memory_bytes: self.spec.memory_bytes,
            vcpus: self.spec.vcpus,
            machine: self.spec.machine,
            firmware: self.spec.firmware,
            accel: self.accel,
            disks: disks.collect(),
            cdroms: cdroms.collect(),
            interfaces: self.spec.interfaces.clone(),
            vnc_socket: active.then(|| vnc_socket(self.spec.uuid)),
            taints: if active && self.tainted { vec![TAINT.to_owned()] } else { Vec::new() },
        }
    }

    /// Files of its disks and drives.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Path> {
        let media = self.spec.cdroms.iter().filter_map(|drive| drive.media.as_deref());
        self.spec.disks.iter().map(|disk| disk.source.as_path()).chain(media)
    }

    pub(super) fn start(&mut self, how: Start, guest: Option<GuestKind>) {
        self.forget_changes();
        self.live = self.next.clone();
        self.boot(guest);
        match how {
            Start::Running => self.run(),
            Start::Paused => self.state = State::Paused,
        }
    }

    /// Begins from the first instruction, as after a reset.
    pub(super) fn boot(&mut self, guest: Option<GuestKind>) {
        self.booting = Some(guest);
        if self.state == State::Running {
            self.run();
        }
    }

    /// Lets the processors go.
    pub(super) fn run(&mut self) {
        self.state = State::Running;
        let Some(guest) = self.booting.take() else { return };
        self.starts += 1;
        let what = match guest {
            None => "finds nothing to boot",
            Some(GuestKind::Answering) => "boots a guest that answers its power button",
            Some(GuestKind::Silent) => "boots a guest that does not answer its power button",
        };
        let line = format!("simulated firmware: `{}`, start {}, {what}\r\n", self.spec.name, self.starts);
        self.console.extend(line.into_bytes());
    }

    pub(super) fn stop(&mut self, state: State) {
        self.state = state;
        self.forget_changes();
        self.booting = None;
    }

    /// The mode of a drive at the moment.
    pub(super) fn drive(&self, drive: usize) -> Option<&Decision> {
        let cache = if self.state.is_active() { &self.live } else { &self.next };
        cache.drives.get(drive)
    }

    pub(super) fn attach(&mut self, disk: &Disk, decided: &Decision) {
        let in_use = self.targets.iter().chain(&self.drives).map(String::as_str);
        let target = free_target(disk.bus, in_use);
        self.targets.push(target);
        self.spec.disks.push(disk.clone());
        for cache in [&mut self.next, &mut self.live] {
            cache.disks.push(decided.clone());
        }
    }

    pub(super) fn detach(&mut self, id: DiskId) {
        if let Some(at) = self.spec.disks.iter().position(|disk| disk.id == id) {
            self.spec.disks.remove(at);
            self.targets.remove(at);
            for cache in [&mut self.next, &mut self.live] {
                cache.disks.remove(at);
            }
        }
        self.reopened.remove(&id);
        self.changed.remove(&id);
    }

    fn forget_changes(&mut self) {
        self.reopened.clear();
        self.changed.clear();
        self.tainted = false;
    }

    /// The name of a disk, what is in force of it, and the disk.
    pub(super) fn disk(&self, at: usize) -> (String, Decision, Disk) {
        let disk = self.spec.disks[at].clone();
        let now = self.changed.get(&disk.id).unwrap_or(&self.live.disks[at]).clone();
        let direct = self.reopened.get(&disk.id).copied().unwrap_or(now.mode.is_direct());
        let mode = now.mode.with_direct(direct).unwrap_or(now.mode);
        (self.targets[at].clone(), Decision { mode, ..now }, disk)
    }

    /// Has QEMU open a disk in another mode, or notes that another word was asked for.
    pub(super) fn change_mode(&mut self, id: DiskId, wanted: Decision, live: bool) {
        self.tainted |= live;
        self.reopened.remove(&id);
        let at = self.spec.disks.iter().position(|disk| disk.id == id);
        if at.is_some_and(|at| self.live.disks[at] == wanted) {
            self.changed.remove(&id);
        } else {
            self.changed.insert(id, wanted);
        }
    }

    /// Lays something into a drive, or takes it out.
    pub(super) fn lay(&mut self, drive: u8, media: Option<PathBuf>) {
        if let Some(cdrom) = self.spec.cdroms.get_mut(usize::from(drive)) {
            cdrom.media = media;
        }
    }

    pub(super) fn reopen(&mut self, id: DiskId, direct: bool) {
        self.reopened.insert(id, direct);
    }
}

/// Where QEMU would listen.
fn vnc_socket(uuid: Uuid) -> PathBuf {
    PathBuf::from(format!("/run/simulated/{uuid}/vnc.sock"))
}
