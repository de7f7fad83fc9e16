//! Virtual machines: `/api/v1/vms`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cache::{CacheIo, CacheLayer, CacheLevel, CacheOutcome, CacheSet};
use crate::task::Action;
use crate::volume::Phase;
use crate::words::words;

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vm {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Identity of its host.
    pub host: Uuid,
    /// Name of its host.
    pub host_name: String,
    /// What it does.
    pub state: VmState,
    /// Why its state is unknown, or it is missing.
    pub reason: Option<String>,
    /// Where it stands.
    pub phase: Phase,
    /// The task that works on it.
    pub task: Option<VmTask>,
    /// Its memory.
    pub memory_bytes: u64,
    /// Its processors.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What was asked to run its instructions.
    pub accel: AccelChoice,
    /// What runs its instructions, as its host says.
    pub effective_accel: Option<AccelChoice>,
    /// What it is tuned for.
    pub guest: Guest,
    /// Where it looks for something to boot, first to last.
    pub boot: Vec<BootDevice>,
    /// The cache mode that is set for its disks.
    pub cache: Option<CacheSet>,
    /// Its disks; the first one is the root disk.
    pub disks: Vec<VmDisk>,
    /// Its CD-ROM drives.
    pub cdroms: Vec<VmCdrom>,
    /// Its network cards.
    pub nics: Vec<Nic>,
    /// What its host finds doubtful about it, in libvirt's words.
    pub taints: Vec<String>,
    /// When it was asked for.
    pub created_at_ms: i64,
}

/// A task that works on a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmTask {
    /// Its identity.
    pub id: Uuid,
    /// What it does.
    pub action: Action,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmDisk {
    /// Identity of its volume.
    pub volume: Uuid,
    /// Name of its volume.
    pub volume_name: String,
    /// Its name in the virtual machine, as its host says: `vda`.
    pub target: Option<String>,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// What a guest sees.
    pub size_bytes: Option<u64>,
    /// How its file is opened, as its host says.
    pub cache: Option<EffectiveCache>,
    /// What it takes until the mode is in force that is set for it now. Whether a file system takes that is not looked at, nor
    /// what `auto` comes to now: the explanation of its volume tells, and applying goes by that.
    pub pending: CacheOutcome,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmCdrom {
    /// Its number, from 0.
    pub drive: u8,
    /// Identity of the image in it.
    pub image: Option<Uuid>,
    /// Name of that image.
    pub image_name: Option<String>,
    /// How its file is opened, as its host says.
    pub cache: Option<EffectiveCache>,
}

/// The cache mode of a disk, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveCache {
    /// What was asked for.
    pub requested: CacheChoice,
    /// The mode that QEMU works in; while the virtual machine is off, the one that it will be started in.
    pub mode: CacheMode,
    /// Whether QEMU has the file open with O_DIRECT. Absent while it is off, or if that could not be seen.
    pub direct: Option<bool>,
    /// How the mode came about and how it is known.
    pub reason: String,
    /// Where it was set when it was settled. Absent: an older release settled it, or somebody changed it on the host.
    #[serde(default)]
    pub set_at: Option<CacheLevel>,
    /// What one should know; the reason has it, too.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How QEMU waits for the host's reads and writes; absent: as it likes.
    #[serde(default)]
    pub io: Option<CacheIo>,
    /// The sector that the guest sees.
    #[serde(default = "usual_sector_bytes")]
    pub sector_bytes: u32,
    /// What O_DIRECT was found to be worth at the file and at every image under it, when the mode was settled.
    #[serde(default)]
    pub evidence: Vec<CacheLayer>,
}

/// What guests see unless they are shown another.
fn usual_sector_bytes() -> u32 {
    512
}

/// Whether a virtual machine may migrate as its disks are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmMigration {
    /// Whether none of its disks and drives is in the way.
    pub may: bool,
    /// Whether its QEMU drops what the page cache has of a disk as it hands over.
    pub drops_cache: bool,
    /// Its disks and drives.
    pub disks: Vec<VmMigrationDisk>,
}

/// A disk or drive, as a migration sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmMigrationDisk {
    /// Its name in the virtual machine.
    pub target: String,
    /// The mode that is in force.
    pub mode: CacheMode,
    /// Where it lies.
    pub reach: DiskReach,
    /// Whether it is no obstacle.
    pub safe: bool,
    /// Why, or why not.
    pub reason: String,
    /// What to do where it is one.
    pub remedy: Option<String>,
}

/// A network card on a bridge of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// Its hardware address.
    pub mac: String,
    /// The bridge.
    pub bridge: String,
    /// How the guest sees it.
    pub model: NicModel,
}

/// All virtual machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmList {
    /// By name.
    pub vms: Vec<Vm>,
}

/// Makes a virtual machine with its disks. It runs on the host of its root disk's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_`, `-`, the first a letter or digit.
    pub name: String,
    /// Its memory, a multiple of 1 MiB.
    pub memory_bytes: u64,
    /// Its processors, 1 to 255.
    pub vcpus: u32,
    /// Its root disk.
    pub root: DiskRequest,
    /// Further disks.
    #[serde(default)]
    pub data: Vec<DiskRequest>,
    /// Its network cards.
    #[serde(default)]
    pub nics: Vec<NicRequest>,
    /// The image in its CD-ROM drive, by id or name.
    #[serde(default)]
    pub cdrom: Option<String>,
    /// Its main board; `q35` if left out.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// What it boots with; `bios` if left out.
    #[serde(default)]
    pub firmware: Option<Firmware>,
    /// What is to run its instructions; `auto` if left out.
    #[serde(default)]
    pub accel: Option<AccelChoice>,
    /// What it is tuned for; `linux` if left out.
    #[serde(default)]
    pub guest: Option<Guest>,
    /// Where it looks for something to boot; the CD-ROM drive if something lies in it, and its root disk, if left out.
    #[serde(default)]
    pub boot: Option<Vec<BootDevice>>,
    /// Whether it is turned on at once.
    #[serde(default)]
    pub start: bool,
    /// The cache mode of its disks, with who accepts what `unsafe` costs. If left out, what is set less specifically counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSet>,
}

/// A disk that is made with a virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskRequest {
    /// The image that it is to lie on, by id or name; without one it is blank.
    #[serde(default)]
    pub image: Option<String>,
    /// What the guest will see, a multiple of 512. May be left out where there is an image: then as big as that.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// The storage, by id or name. If left out: the root disk's, the image's, or the only one.
    #[serde(default)]
    pub storage: Option<String>,
    /// How the guest sees it; `virtio` if left out.
    #[serde(default)]
    pub bus: Option<DiskBus>,
    /// Its own cache mode. If left out, what is set less specifically counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSet>,
}

/// A network card that is made with a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NicRequest {
    /// An existing bridge of the host.
    pub bridge: String,
    /// Its hardware address; one is made if left out.
    #[serde(default)]
    pub mac: Option<String>,
    /// How the guest sees it; `virtio` if left out.
    #[serde(default)]
    pub model: Option<NicModel>,
}

/// Adds a volume to a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// The volume, by id or name.
    pub volume: String,
    /// How the guest sees it; `virtio` if left out.
    #[serde(default)]
    pub bus: Option<DiskBus>,
}

/// Lays an image into a CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InsertRequest {
    /// The image, by id or name.
    pub image: String,
}

/// A stretch of what a guest wrote to its first serial line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleReply {
    /// Where `text` starts, in bytes from the first one that is kept.
    pub offset: u64,
    /// What was written; bytes that are no UTF-8 are shown as U+FFFD.
    pub text: String,
    /// Where to go on.
    pub next_offset: u64,
    /// How long the log is.
    pub size_bytes: u64,
}

/// What holds where nobody says anything else.
impl Default for CacheChoice {
    fn default() -> Self {
        Self::Auto
    }
}

words! {
    /// What a virtual machine does.
    VmState {
        /// It is off.
        Shutoff = "shutoff",
        /// It runs.
        Running = "running",
        /// Its processors are stopped.
        Paused = "paused",
        /// It is about to turn itself off.
        Shutdown = "shutdown",
        /// It is off because QEMU ended badly.
        Crashed = "crashed",
        /// Its guest put it to sleep.
        Pmsuspended = "pmsuspended",
        /// Its host does not answer, or has not said yet.
        Unknown = "unknown",
        /// Its host does not have it.
        Missing = "missing",
    }
    /// A main board that QEMU emulates.
    Machine {
        /// PCI Express.
        Q35 = "q35",
        /// PCI.
        I440fx = "i440fx",
    }
    /// What a virtual machine boots with.
    Firmware {
        /// SeaBIOS.
        Bios = "bios",
        /// UEFI without secure boot.
        Uefi = "uefi",
    }
    /// What is to run instructions.
    AccelChoice {
        /// KVM where it is usable, else TCG.
        Auto = "auto",
        /// The processor itself.
        Kvm = "kvm",
        /// Software emulation.
        Tcg = "tcg",
    }
    /// What kind of guest is tuned for.
    Guest {
        /// Linux and others with virtio drivers.
        Linux = "linux",
        /// Windows.
        Windows = "windows",
    }
    /// Something to boot from.
    BootDevice {
        /// The root disk.
        Hd = "hd",
        /// The first CD-ROM drive.
        Cdrom = "cdrom",
        /// The first network card.
        Network = "network",
    }
    /// How a guest sees a disk.
    DiskBus {
        /// virtio-blk.
        Virtio = "virtio",
        /// virtio-scsi.
        Scsi = "scsi",
        /// AHCI.
        Sata = "sata",
    }
    /// How a guest sees a network card.
    NicModel {
        /// virtio-net.
        Virtio = "virtio",
        /// Intel's.
        E1000e = "e1000e",
        /// Intel's older one.
        E1000 = "e1000",
    }
    /// What can be asked of a disk.
    CacheChoice {
        /// O_DIRECT where the file system takes it, else the page cache.
        Auto = "auto",
        /// O_DIRECT; flushes are honoured.
        None = "none",
        /// Page cache; flushes are honoured.
        Writeback = "writeback",
        /// Page cache; every write is flushed.
        Writethrough = "writethrough",
        /// O_DIRECT; every write is flushed.
        Directsync = "directsync",
        /// Page cache; flushes are ignored.
        Unsafe = "unsafe",
    }
    /// Where a disk lies, as far as another host is concerned.
    DiskReach {
        /// On its host alone.
        Local = "local",
        /// On a file system that several hosts have.
        Shared = "shared",
        /// On one that keeps the page caches of its hosts in step.
        Coherent = "coherent",
        /// Over the network, by QEMU itself.
        Network = "network",
    }
    /// QEMU's cache modes.
    CacheMode {
        /// O_DIRECT; flushes are honoured.
        None = "none",
        /// Page cache; flushes are honoured.
        Writeback = "writeback",
        /// Page cache; every write is flushed.
        Writethrough = "writethrough",
        /// O_DIRECT; every write is flushed.
        Directsync = "directsync",
        /// Page cache; flushes are ignored.
        Unsafe = "unsafe",
    }
}
