//! One simulated domain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::file::GuestKind;
use crate::domain::{free_target, place};
use crate::lifecycle::Start;
use crate::spec::{Accel, CacheMode, CdromDrive, Disk, DiskId, DomainSpec, Media};
use crate::state::{CdromState, DiskState, Domain, Effective, MediaState, State};

/// How the twin knows what a file was opened with.
const EVIDENCE: &str = "the simulated QEMU";

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
    /// Disks that somebody had QEMU open anew, with or without O_DIRECT, while it ran.
    reopened: BTreeMap<DiskId, bool>,
    /// What boots, and has not yet had a processor to write its first line with.
    booting: Option<Option<GuestKind>>,
    starts: usize,
}

impl Vm {
    pub(super) fn new(spec: &DomainSpec, accel: Accel) -> Self {
        let (disks, drives) = place(spec);
        Self {
            spec: spec.clone(),
            accel,
            state: State::Shutoff,
            console: Vec::new(),
            targets: disks.into_iter().map(|disk| disk.target).collect(),
            drives: drives.into_iter().map(|drive| drive.target).collect(),
            reopened: BTreeMap::new(),
            booting: None,
            starts: 0,
        }
    }

    /// As callers see it.
    pub(super) fn domain(&self) -> Domain {
        let active = self.state.is_active();
        let effective = |requested: CacheMode, reopened: Option<&bool>| {
            let direct = reopened.copied().unwrap_or(requested.is_direct());
            if active {
                Effective::of_active(requested, Some(direct), EVIDENCE)
            } else {
                Effective::of_inactive(requested)
            }
        };
        let disks = self.spec.disks.iter().zip(&self.targets).map(|(disk, target)| DiskState {
            id: disk.id,
            target: target.clone(),
            source: disk.source.clone(),
            format: disk.format,
            bus: disk.bus,
            cache: effective(disk.cache, self.reopened.get(&disk.id)),
        });
        let drives = (0..=u8::MAX).zip(&self.spec.cdroms).zip(&self.drives);
        let cdroms = drives.map(|((drive, cdrom), target)| CdromState {
            drive,
            target: target.clone(),
            cache: cdrom.cache,
            media: cdrom
                .media()
                .map(|media| MediaState { source: media.source, cache: effective(media.cache, None) }),
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
            taints: Vec::new(),
        }
    }

    /// Files of its disks and drives.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Path> {
        let media = self.spec.cdroms.iter().filter_map(|drive| drive.media.as_deref());
        self.spec.disks.iter().map(|disk| disk.source.as_path()).chain(media)
    }

    pub(super) fn start(&mut self, how: Start, guest: Option<GuestKind>) {
        self.reopened.clear();
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
        self.reopened.clear();
        self.booting = None;
    }

    pub(super) fn attach(&mut self, disk: &Disk) {
        let in_use = self.targets.iter().chain(&self.drives).map(String::as_str);
        let target = free_target(disk.bus, in_use);
        self.targets.push(target);
        self.spec.disks.push(disk.clone());
    }

    pub(super) fn detach(&mut self, id: DiskId) {
        if let Some(at) = self.spec.disks.iter().position(|disk| disk.id == id) {
            self.spec.disks.remove(at);
            self.targets.remove(at);
        }
        self.reopened.remove(&id);
    }

    /// Lays something into a drive, or takes it out.
    pub(super) fn lay(&mut self, drive: u8, media: Option<Media>) {
        if let Some(cdrom) = self.spec.cdroms.get_mut(usize::from(drive)) {
            *cdrom = media.map_or(CdromDrive::empty(cdrom.cache), CdromDrive::with);
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
