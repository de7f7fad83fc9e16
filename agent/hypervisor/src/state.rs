//! What domains are like at the moment.

use std::path::PathBuf;

use uuid::Uuid;

use crate::cache::{Decision, Layer};
use crate::spec::{
    Accel, Aio, CacheChoice, CacheMode, DiskBus, DiskId, Firmware, Format, Interface, Machine, Origin,
};

/// A domain as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name on this host.
    pub name: String,
    /// What it does.
    pub state: State,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its processors.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What runs its instructions; decided when it was defined.
    pub accel: Accel,
    /// Its disks, the root disk first.
    pub disks: Vec<DiskState>,
    /// Its CD-ROM drives.
    pub cdroms: Vec<CdromState>,
    /// Its network cards.
    pub interfaces: Vec<Interface>,
    /// The unix socket on which QEMU speaks VNC, while it runs.
    pub vnc_socket: Option<PathBuf>,
    /// What libvirt finds doubtful about it, in libvirt's words. A domain that is only used as intended has none.
    pub taints: Vec<String>,
}

/// A disk as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskState {
    /// The identity of its volume.
    pub id: DiskId,
    /// Its name in the domain: `vda`, `sda`.
    pub target: String,
    /// The file.
    pub source: PathBuf,
    /// What is in the file.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// How its file is opened.
    pub cache: Effective,
    /// The modes that it can go over to while the domain runs, as far as QEMU and the guest are concerned; none while it is off.
    pub live: Vec<CacheMode>,
    /// Whether the guest may only read it, as an operator made it.
    pub readonly: bool,
    /// Whether several domains may write to it at once, as an operator made it.
    pub shareable: bool,
}

/// A CD-ROM drive as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdromState {
    /// Its number, from 0.
    pub drive: u8,
    /// Its name in the domain: `sda`, `hda`.
    pub target: String,
    /// The mode in which what is laid into it is opened.
    pub cache: CacheMode,
    /// What lies in it.
    pub media: Option<MediaState>,
}

/// What lies in a CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaState {
    /// The file.
    pub source: PathBuf,
    /// How it is opened.
    pub cache: Effective,
}

/// The cache mode of a disk, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What was asked for.
    pub requested: CacheChoice,
    /// Where that was set, if it is known.
    pub origin: Option<Origin>,
    /// The mode that QEMU works in; of a domain that is off, the one that it will be started in.
    pub mode: CacheMode,
    /// Whether QEMU has the file open with O_DIRECT. None while the domain is off, or if that could not be seen.
    pub direct: Option<bool>,
    /// A sentence for people: how the mode came about and how it is known.
    pub reason: String,
    /// What one should know; the reason has it, too.
    pub warnings: Vec<String>,
    /// How QEMU waits for the host's reads and writes. None: as it likes.
    pub aio: Option<Aio>,
    /// The sector that the guest sees, in bytes. None: QEMU's, which is 512.
    pub sector_bytes: Option<u32>,
    /// What O_DIRECT was found to be worth at the file and at every image under it, when the mode was chosen; empty where
    /// nobody had to know.
    pub layers: Vec<Layer>,
    /// Which of them decided.
    pub weakest: Option<usize>,
}

/// What a domain does. Names are libvirt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is off.
    Shutoff,
    /// It runs, or waits for something to do.
    Running,
    /// Its processors are stopped.
    Paused,
    /// It was told to turn itself off, and is about to.
    Shutdown,
    /// It is off because QEMU ended badly.
    Crashed,
    /// Its guest put it to sleep.
    Pmsuspended,
}

impl State {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutoff => "shutoff",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
            Self::Crashed => "crashed",
            Self::Pmsuspended => "pmsuspended",
        }
    }

    /// Whether there is a QEMU process.
    #[must_use]
    pub const fn is_active(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Shutdown | Self::Pmsuspended => true,
            Self::Shutoff | Self::Crashed => false,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Effective {
    /// The mode of a disk of a domain that is off.
    #[must_use]
    pub fn of_inactive(decision: &Decision) -> Self {
        let reason = format!("{}; takes effect when the domain starts", decision.why);
        Self::new(decision, decision.mode, None, reason)
    }

    /// The mode of a disk that there may be.
    #[must_use]
    pub fn supposed(decision: &Decision) -> Self {
        Self::new(decision, decision.mode, None, decision.why.clone())
    }

    fn new(decision: &Decision, mode: CacheMode, direct: Option<bool>, reason: String) -> Self {
        let Decision { choice, origin, mode: _, why: _, aio, sector_bytes, warnings, layers, weakest } =
            decision;
        Self {
            requested: *choice,
            origin: *origin,
            mode,
            direct,
            reason,
            warnings: warnings.clone(),
            aio: *aio,
            sector_bytes: *sector_bytes,
            layers: layers.clone(),
            weakest: *weakest,
        }
    }

    /// The mode of a disk that QEMU was told to open anew while the domain runs. `started` is what libvirt's description says.
    #[must_use]
    pub fn of_changed(started: &Decision, now: &Decision, direct: Option<bool>, evidence: &str) -> Self {
        if now.mode == started.mode {
            return Self::of_active(now, direct, evidence);
        }
        let why = format!(
            "{}; changed while the domain runs, by QEMU's monitor, for which libvirt marks it as tainted; libvirt's description \
             says `{}` until the next start",
            now.why, started.mode
        );
        Self::of_active(&Decision { why, ..now.clone() }, direct, evidence)
    }

    /// The mode of a disk that QEMU has open: what libvirt's description says, corrected by the flags of QEMU's
    /// descriptors. `direct` is None where those could not be seen, and `evidence` says where they were looked for.
    #[must_use]
    pub fn of_active(decision: &Decision, direct: Option<bool>, evidence: &str) -> Self {
        let Decision { mode: decided, why, .. } = decision;
        let flag = |direct: bool| if direct { "with O_DIRECT" } else { "without O_DIRECT" };
        let (mode, reason) = match direct {
            None => (*decided, format!("{why}; how QEMU has the file open could not be seen: {evidence}")),
            Some(direct) if direct == decided.is_direct() => {
                (*decided, format!("{why}; {evidence} has the file open {}", flag(direct)))
            }
            Some(direct) => {
                let mode = decided.with_direct(direct).unwrap_or(*decided);
                let reason = format!(
                    "{why}, but {evidence} has the file open {}: changed while the domain ran",
                    flag(direct)
                );
                (mode, reason)
            }
        };
        Self::new(decision, mode, direct, reason)
    }
}

/// Something about a domain changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is like this now.
    Changed(Box<Domain>),
    /// It was undefined.
    Gone(Uuid),
    /// Changes were missed, or may be from now on: list all domains. While that fails, nothing is known.
    Resync,
}

/// A stretch of what a guest wrote to its first serial line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLog {
    /// Where `bytes` starts, counted from the first byte that is kept.
    pub offset: u64,
    /// What was written.
    pub bytes: Vec<u8>,
    /// How long the log is at the moment, in bytes.
    pub size: u64,
}

impl ConsoleLog {
    /// The longest stretch that is read at once, in bytes.
    pub const LIMIT_BYTES: u64 = 1 << 20;
}

/// What a host can do for domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What runs the domains: `libvirt 9.0.0, QEMU 7.2.22`, or why there is nothing.
    pub hypervisor: Result<String, String>,
    /// What `accel = auto` means here.
    pub accel: Accel,
    /// Why.
    pub accel_reason: String,
    /// Whether there is an image of UEFI.
    pub uefi: bool,
}
