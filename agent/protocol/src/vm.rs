//! Virtual machines. Words are libvirt's. Paths are absolute paths of the agent's host.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cache::{CacheRequest, EffectiveCache, Sector};

/// A virtual machine to be defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vm {
    /// Its identity; never changes.
    pub uuid: Uuid,
    /// Its name on its host: 1 to 64 letters, digits, `.`, `_`, `-`, the first a letter or digit.
    pub name: String,
    /// Its memory in bytes, a multiple of 1 MiB.
    pub memory_bytes: u64,
    /// Its processors, 1 to 255.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What is to run its instructions.
    pub accel: AccelChoice,
    /// What it is tuned for.
    pub guest: Guest,
    /// Where it looks for something to boot, first to last.
    pub boot: Vec<BootDevice>,
    /// Its disks; the first one is the root disk.
    pub disks: Vec<Disk>,
    /// Its CD-ROM drives, by their number from 0.
    pub cdroms: Vec<CdromDrive>,
    /// Its network cards.
    pub interfaces: Vec<Interface>,
}

/// A writable disk on a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The identity of its volume.
    pub volume: Uuid,
    /// The file.
    pub path: String,
    /// What is in the file.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// How QEMU is to open the file, and every file under it.
    pub cache: CacheRequest,
    /// The sector that its guest sees.
    pub sector: Sector,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdromDrive {
    /// How QEMU is to open what lies in it.
    pub cache: CacheRequest,
    /// What lies in it: a file, a raw image.
    pub media: Option<String>,
}

/// A network card on a bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its hardware address: `52:54:00:00:00:01`.
    pub mac: String,
    /// Name of an existing bridge.
    pub bridge: String,
    /// How the guest sees it.
    pub model: InterfaceModel,
}

/// A virtual machine as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmState {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name on its host.
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
    /// What runs its instructions.
    pub accel: Accel,
    /// Its disks, the root disk first.
    pub disks: Vec<DiskState>,
    /// Its CD-ROM drives.
    pub cdroms: Vec<CdromState>,
    /// Its network cards.
    pub interfaces: Vec<Interface>,
    /// The unix socket on which QEMU speaks VNC, while it runs.
    pub vnc_socket: Option<String>,
    /// What libvirt finds doubtful about it, in libvirt's words.
    pub taints: Vec<String>,
}

/// A disk as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskState {
    /// The identity of its volume.
    pub volume: Uuid,
    /// Its name in the virtual machine: `vda`, `sda`.
    pub target: String,
    /// The file.
    pub path: String,
    /// What is in the file.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// How its file is opened.
    pub cache: EffectiveCache,
    /// The modes that it can go over to while the virtual machine runs, as far as QEMU and the guest are concerned; none while it
    /// is off.
    pub live: Vec<CacheMode>,
}

/// A CD-ROM drive as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdromState {
    /// Its number, from 0.
    pub drive: u8,
    /// Its name in the virtual machine.
    pub target: String,
    /// The mode in which what is laid into it is opened.
    pub cache: CacheMode,
    /// What lies in it.
    pub media: Option<MediaState>,
}

/// What lies in a CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaState {
    /// The file.
    pub path: String,
    /// How it is opened.
    pub cache: EffectiveCache,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
            #[serde(rename_all = "lowercase")]
            pub enum $name { $($(#[$variant_doc])* $variant,)+ }
        )+
    };
}

words! {
    /// What can be asked of a disk.
    CacheChoice {
        /// O_DIRECT where the file system takes it, else the page cache.
        Auto,
        /// As [`CacheMode::None`].
        None,
        /// As [`CacheMode::Writeback`].
        Writeback,
        /// As [`CacheMode::Writethrough`].
        Writethrough,
        /// As [`CacheMode::Directsync`].
        Directsync,
        /// As [`CacheMode::Unsafe`].
        Unsafe,
    }
    /// QEMU's cache modes.
    CacheMode {
        /// O_DIRECT; flushes are honoured.
        None,
        /// Page cache; flushes are honoured.
        Writeback,
        /// Page cache; every write is flushed.
        Writethrough,
        /// O_DIRECT; every write is flushed.
        Directsync,
        /// Page cache; flushes are ignored.
        Unsafe,
    }
    /// A main board that QEMU emulates.
    Machine {
        /// PCI Express.
        Q35,
        /// PCI.
        I440fx,
    }
    /// What a virtual machine boots with.
    Firmware {
        /// SeaBIOS.
        Bios,
        /// UEFI without secure boot.
        Uefi,
    }
    /// What is to run instructions.
    AccelChoice {
        /// KVM where it is usable, else TCG.
        Auto,
        /// The processor itself.
        Kvm,
        /// Software emulation.
        Tcg,
    }
    /// What runs instructions.
    Accel {
        /// The processor itself.
        Kvm,
        /// Software emulation.
        Tcg,
    }
    /// What kind of guest is tuned for.
    Guest {
        /// Linux and others with virtio drivers.
        Linux,
        /// Windows.
        Windows,
    }
    /// Something to boot from.
    BootDevice {
        /// The first disk.
        Hd,
        /// The first CD-ROM drive.
        Cdrom,
        /// The first network card.
        Network,
    }
    /// What is in a volume's file.
    Format {
        /// The guest's sectors and nothing else.
        Raw,
        /// QEMU's own format.
        Qcow2,
    }
    /// How a guest sees a disk.
    DiskBus {
        /// virtio-blk.
        Virtio,
        /// virtio-scsi.
        Scsi,
        /// AHCI.
        Sata,
    }
    /// How a guest sees a network card.
    InterfaceModel {
        /// virtio-net.
        Virtio,
        /// Intel's.
        E1000e,
        /// Intel's older one.
        E1000,
    }
    /// What a virtual machine does.
    State {
        /// It is off.
        Shutoff,
        /// It runs.
        Running,
        /// Its processors are stopped.
        Paused,
        /// It is about to turn itself off.
        Shutdown,
        /// It is off because QEMU ended badly.
        Crashed,
        /// Its guest put it to sleep.
        Pmsuspended,
    }
    /// How a virtual machine comes up.
    StartMode {
        /// Running.
        Running,
        /// With stopped processors.
        Paused,
    }
}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )+
    };
}

requests! {
    /// Names a virtual machine.
    VmRequest {
        /// Which.
        vm: Uuid,
    }
    /// Defines one; it is off afterwards.
    DefineRequest {
        /// What it is made of.
        vm: Vm,
    }
    /// What is asked of the disks of a virtual machine, settled whenever it is turned on.
    CachePlan {
        /// What is asked of which disk. A disk that is not named keeps the mode that it has.
        disks: Vec<DiskCache>,
        /// What is asked of all CD-ROM drives.
        cdroms: CacheRequest,
    }
    /// What is asked of a disk.
    DiskCache {
        /// The identity of its volume.
        volume: Uuid,
        /// How QEMU is to open its file, and every file under it.
        cache: CacheRequest,
    }
    /// Changes how disks of one that runs are opened, and settles it for its next start. What needs a restart is refused
    /// before anything is done, and if it fails the old modes are in force.
    ChangeCacheRequest {
        /// Of which.
        vm: Uuid,
        /// What is asked of which disk. One that is not named stays as it is.
        disks: Vec<DiskCache>,
    }
    /// Turns one on.
    StartRequest {
        /// Which.
        vm: Uuid,
        /// How.
        mode: StartMode,
        /// How its disks are to be opened.
        cache: CachePlan,
    }
    /// Presses the power button, waits for its guest, and turns it on again.
    RebootRequest {
        /// Which.
        vm: Uuid,
        /// How long the guest has, in milliseconds.
        patience_ms: u64,
        /// How its disks are to be opened when it is turned on again.
        cache: CachePlan,
    }
    /// Presses the power button, and waits for its guest.
    ButtonRequest {
        /// Which.
        vm: Uuid,
        /// How long the guest has, in milliseconds.
        patience_ms: u64,
    }
    /// Adds a disk.
    AttachRequest {
        /// To which.
        vm: Uuid,
        /// The disk.
        disk: Disk,
    }
    /// Removes a disk.
    DetachRequest {
        /// From which.
        vm: Uuid,
        /// The identity of the volume.
        volume: Uuid,
    }
    /// Lays an image into a CD-ROM drive. It is opened in the drive's mode, which was settled when the virtual machine was
    /// turned on: QEMU does not change the mode of a drive that a guest has.
    InsertRequest {
        /// Of which.
        vm: Uuid,
        /// The drive's number, from 0.
        drive: u8,
        /// The file, a raw image.
        media: String,
    }
    /// Empties a CD-ROM drive.
    EjectRequest {
        /// Of which.
        vm: Uuid,
        /// The drive's number, from 0.
        drive: u8,
    }
    /// Reads what a guest wrote to its first serial line.
    ConsoleRequest {
        /// Of which.
        vm: Uuid,
        /// From where, in bytes from the first one that is kept.
        offset: u64,
        /// How much at most, in bytes. The agent may send less.
        limit: u64,
    }
    /// A stretch of what a guest wrote.
    ConsoleReply {
        /// Where `text` starts.
        offset: u64,
        /// What was written; bytes that are no UTF-8 are shown as U+FFFD.
        text: String,
        /// Where to go on.
        next_offset: u64,
        /// How long the log is, in bytes.
        size: u64,
    }
    /// Asks for all.
    ListRequest {}
    /// All virtual machines of the host, by name.
    ListReply {
        /// They.
        vms: Vec<VmState>,
    }
    /// Waits until something changes.
    WatchRequest {
        /// What the last reply gave; none at first, which is answered at once with everything.
        after: Option<Cursor>,
        /// How long to wait for a change, in milliseconds. The agent may answer earlier.
        wait_ms: u64,
    }
    /// What has changed.
    WatchReply {
        /// To be sent next time.
        cursor: Cursor,
        /// True if `vms` are all there are: what is not among them is gone.
        complete: bool,
        /// Those that changed.
        vms: Vec<VmState>,
        /// Those that were undefined.
        gone: Vec<Uuid>,
    }
    /// A place in the history of changes.
    Cursor {
        /// Identity of the history; a restarted agent starts another.
        history: Uuid,
        /// How many changes there were.
        changes: u64,
    }
    /// Nothing more to say than that it is done.
    Done {}
}
