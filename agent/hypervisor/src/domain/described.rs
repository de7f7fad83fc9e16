//! A domain as libvirt describes it.

use std::path::PathBuf;

use uuid::Uuid;

use crate::cache::Decision;
use crate::spec::{
    Accel, AccelChoice, BootDevice, CacheMode, CacheRequest, Disk, Firmware, Guest, Interface, Machine,
};

/// A domain as libvirt describes it. What our types have no word for is told by the nearest one, see [`super::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Our mark. None: the domain is not ours.
    pub mark: Option<Mark>,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its processors.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What runs its instructions.
    pub accel: Accel,
    /// Where it looks for something to boot.
    pub boot: Vec<BootDevice>,
    /// Its disks, as they stand.
    pub disks: Vec<DiskAt>,
    /// Its CD-ROM drives, by their number.
    pub drives: Vec<DriveAt>,
    /// Its network cards.
    pub interfaces: Vec<Interface>,
    /// The file that keeps what the guest writes to its first serial line.
    pub console_log: Option<PathBuf>,
    /// The unix socket on which QEMU speaks VNC, while the domain runs.
    pub vnc_socket: Option<PathBuf>,
}

/// What was asked for when the domain was defined, and nothing else in its description tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What was to run its instructions.
    pub accel: AccelChoice,
    /// What it is tuned for.
    pub guest: Guest,
}

/// A disk and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskAt {
    /// The disk.
    pub disk: Disk,
    /// Its name in the domain: `vda`, `sda`.
    pub target: String,
    /// Whether the guest may only read it.
    pub readonly: bool,
    /// Whether several domains may write to it at once.
    pub shareable: bool,
    /// How its file is opened, and why. What was asked for stands in the disk, too.
    pub decided: Decision,
    /// What QEMU was told of it since it was started.
    pub since: Since,
}

/// What a running QEMU was told of a disk since it was started, past libvirt: that goes on telling what it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Since {
    /// What it was told last, and has done.
    pub done: Option<Decision>,
    /// What it is being told. Whether it has done that is not known.
    pub asked: Option<Decision>,
}

/// A CD-ROM drive and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveAt {
    /// Its number, from 0.
    pub drive: u8,
    /// Its name in the domain: `sda`, `hda`.
    pub target: String,
    /// How the guest sees it: `sata`, `ide`, or what an operator chose.
    pub bus: String,
    /// How what lies in it is opened, and why.
    pub decided: Decision,
    /// What lies in it.
    pub media: Option<PathBuf>,
}

impl DiskAt {
    /// Changes how its file is opened.
    pub fn decide(&mut self, decided: Decision) {
        self.disk.cache = CacheRequest { origin: decided.origin, ..decided.choice.into() };
        self.decided = decided;
    }

    /// What QEMU has been told to do, and has done.
    #[must_use]
    pub fn told(&self) -> &Decision {
        self.since.done.as_ref().unwrap_or(&self.decided)
    }

    /// What is in force, as far as it can be known by whether QEMU has the file open with O_DIRECT. Where that does not tell
    /// whether QEMU has done what it is being told, it is what promises less.
    #[must_use]
    pub fn in_force(&self, direct: Option<bool>) -> &Decision {
        let told = self.told();
        match &self.since.asked {
            Some(asked) if direct.is_some_and(|direct| direct != told.mode.is_direct()) => asked,
            Some(asked) if asked.mode.is_direct() == told.mode.is_direct() => {
                if asked.mode == CacheMode::Unsafe { asked } else { told }
            }
            Some(_) | None => told,
        }
    }
}

impl DriveAt {
    /// How what lies in it is opened.
    #[must_use]
    pub const fn mode(&self) -> CacheMode {
        self.decided.mode
    }
}
