//! Why something was not done. Every sentence names the thing and ends with what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use crate::lesson::Code;
use crate::spec::{CacheMode, DiskId, Origin};
use crate::state::State;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such domain.
    #[error(
        "there is no domain `{uuid}` on this host that this agent defined; list the domains, or define it"
    )]
    NoDomain {
        /// Which.
        uuid: Uuid,
    },
    /// A domain with this identity is there.
    #[error(
        "a domain `{uuid}` is there already, called `{name}`; choose another identity, or undefine it first"
    )]
    DomainExists {
        /// Which.
        uuid: Uuid,
        /// Its name.
        name: String,
    },
    /// Another domain on the host bears the name.
    #[error("another domain on this host is called `{name}`; choose another name, or rename that one")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The domain was not defined by us.
    #[error("the domain `{name}` was not defined by this agent and is left alone; choose another identity")]
    Foreign {
        /// Its name.
        name: String,
    },
    /// What was asked for makes no domain or volume.
    #[error("{what}; {remedy}")]
    Invalid {
        /// What is wrong, with the thing in backticks.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// This host cannot do that.
    #[error("{what}; {remedy}")]
    Unsupported {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Not in this state.
    #[error("cannot {verb} `{name}`: it is {state}; look at its state and try again")]
    NotNow {
        /// Which domain.
        name: String,
        /// What was to be done.
        verb: &'static str,
        /// What it does.
        state: State,
    },
    /// The domain has no such disk.
    #[error("`{name}` has no disk `{disk}`; look at its disks")]
    NoDisk {
        /// Which domain.
        name: String,
        /// Which disk.
        disk: DiskId,
    },
    /// The domain has such a disk.
    #[error("`{name}` has the disk `{disk}` already; detach it first")]
    DiskExists {
        /// Which domain.
        name: String,
        /// Which disk.
        disk: DiskId,
    },
    /// The domain has no such CD-ROM drive.
    #[error("`{name}` has no CD-ROM drive {drive}; define it with one")]
    NoDrive {
        /// Which domain.
        name: String,
        /// Which drive.
        drive: u8,
    },
    /// Something lies in the drive.
    #[error("`{source_path}` lies in CD-ROM drive {drive} of `{name}`; eject it first", source_path = media.display())]
    DriveFull {
        /// Which domain.
        name: String,
        /// Which drive.
        drive: u8,
        /// What lies in it.
        media: PathBuf,
    },
    /// Nothing lies in the drive.
    #[error("CD-ROM drive {drive} of `{name}` is empty; there is nothing to eject")]
    DriveEmpty {
        /// Which domain.
        name: String,
        /// Which drive.
        drive: u8,
    },
    /// The file system does not take O_DIRECT, and the cache mode needs it.
    #[error(
        "`{path}` cannot be opened with cache mode `{mode}`: its file system does not support O_DIRECT (QEMU: {qemu}); \
         open it with a buffered cache mode such as `writeback`, or move it to a file system that supports O_DIRECT",
        path = path.display()
    )]
    DirectIo {
        /// The file that QEMU could not open; perhaps one under the disk's own.
        path: PathBuf,
        /// The mode of the disk.
        mode: CacheMode,
        /// QEMU's sentence.
        qemu: String,
    },
    /// The file system does not take O_DIRECT, and the cache mode that was asked for needs it. Found before QEMU was asked.
    #[error(
        "`{path}`{} cannot be opened with cache mode `{mode}`: `{mount}` ({file_system}) refuses O_DIRECT ({refusal}); {remedy}",
        under(top.as_deref()),
        path = path.display(),
        mount = mount.display()
    )]
    RefusesDirectIo {
        /// The file.
        path: PathBuf,
        /// The disk's own file, if the one that is refused lies under it.
        top: Option<Box<Path>>,
        /// The mode that was asked for.
        mode: CacheMode,
        /// Where its file system is mounted.
        mount: PathBuf,
        /// The type of that.
        file_system: Box<str>,
        /// The kernel's refusal, in words.
        refusal: Box<str>,
        /// What to do.
        remedy: &'static str,
    },
    /// A running domain cannot go over to that mode. Found before anything was done.
    #[error(
        "cannot change the cache mode of `{target}` of `{name}` from `{from}` to `{to}` while it runs: {obstacle}; this needs a \
         restart: settle the mode and turn the domain off and on"
    )]
    NeedsRestart {
        /// Which domain.
        name: String,
        /// Which disk, by its name in the domain.
        target: String,
        /// The mode that is in force.
        from: CacheMode,
        /// The mode that is wanted.
        to: CacheMode,
        /// What is in the way.
        obstacle: String,
    },
    /// A mode that may lose the disk is asked for, and nobody said that it may.
    #[error(
        "`{}` is to be opened with cache mode `unsafe`{}, with which a crash of the host loses what is on the disk, and nobody \
         accepted that; set the mode there once more and accept the loss, or ask for `auto` or `writeback`",
        path.display(),
        set_for(*origin)
    )]
    LossNotAccepted {
        /// The file.
        path: PathBuf,
        /// Where the mode was set.
        origin: Option<Origin>,
    },
    /// The guest did not do what it was asked to, in time.
    #[error(
        "the guest of `{name}` did not {what} within {} seconds, and runs on; wait and try again, or force it",
        patience.as_secs()
    )]
    GuestSilent {
        /// Which domain.
        name: String,
        /// What it was to do.
        what: &'static str,
        /// How long it had.
        patience: Duration,
    },
    /// There is no such file.
    #[error("there is no volume `{}`; look at the path", path.display())]
    NoVolume {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there.
    #[error("`{}` is there already and is not overwritten; choose another path, or delete it first", path.display())]
    VolumeExists {
        /// The file.
        path: PathBuf,
    },
    /// A volume does not shrink: what is beyond the new end would be lost.
    #[error(
        "`{}` has {size_bytes} bytes and is not made smaller, {wanted_bytes} bytes; make a new volume and copy within the guest",
        path.display()
    )]
    Shrink {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// What was asked for.
        wanted_bytes: u64,
    },
    /// A domain has the volume.
    #[error("`{}` belongs to the domain `{name}`; detach it, or undefine the domain", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The domain.
        name: String,
    },
    /// The file system is full.
    #[error("no space for `{}`: {cause}; free some, or choose another storage", path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
        /// The complaint.
        cause: String,
    },
    /// The hypervisor cannot be reached. Nothing was done.
    #[error("libvirt cannot be reached: {cause}; start libvirtd on this host, or wait until it is back")]
    Unavailable {
        /// Why.
        cause: String,
    },
    /// The hypervisor went away while something was being done. It may have been done, or a part of it.
    #[error(
        "libvirt went away in the middle: {cause}; it may have been done: look at its state once libvirt \
         is back, or send the same order again"
    )]
    Interrupted {
        /// Why.
        cause: String,
    },
    /// The hypervisor tried and failed, and what it said of it is known.
    #[error("cannot {what}: {cause} ({said}); {remedy}")]
    Explained {
        /// What was tried, with the thing in backticks.
        what: String,
        /// What stands behind it.
        code: Code,
        /// What is the matter.
        cause: String,
        /// The complaint, in the words of libvirt, QEMU or the kernel.
        said: String,
        /// What to do.
        remedy: String,
    },
    /// The hypervisor tried and failed.
    #[error("cannot {what}: {cause}; {remedy}")]
    Failed {
        /// What was tried, with the thing in backticks.
        what: String,
        /// The complaint, in the words of libvirt, QEMU or the kernel.
        cause: String,
        /// What to do.
        remedy: String,
    },
}

fn under(top: Option<&Path>) -> String {
    top.map_or_else(String::new, |top| format!(", the image under `{}`,", top.display()))
}

fn set_for(origin: Option<Origin>) -> &'static str {
    match origin {
        None => "",
        Some(Origin::Volume) => ", as set for the volume",
        Some(Origin::Vm) => ", as set for the virtual machine",
        Some(Origin::Storage) => ", as set for the storage",
        Some(Origin::Global) => ", as set for everything",
    }
}

/// Kinds of error that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// The request makes no sense.
    Invalid,
    /// This host cannot.
    Unsupported,
    /// Not as things stand.
    Conflict,
    /// No O_DIRECT.
    DirectIo,
    /// A mode that may lose the disk is asked for, and nobody said that it may.
    LossNotAccepted,
    /// The guest does not answer.
    GuestSilent,
    /// No space.
    NoSpace,
    /// Nothing was done, since the hypervisor is away.
    Unavailable,
    /// It may have been done: the hypervisor went away in the middle.
    Interrupted,
    /// It was tried.
    Failed,
}

impl Error {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NoDomain { .. } | Self::NoDisk { .. } | Self::NoDrive { .. } | Self::NoVolume { .. } => {
                Kind::NotFound
            }
            Self::DomainExists { .. }
            | Self::NameTaken { .. }
            | Self::Foreign { .. }
            | Self::DiskExists { .. }
            | Self::VolumeExists { .. } => Kind::Exists,
            Self::Invalid { .. } | Self::Shrink { .. } => Kind::Invalid,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::NotNow { .. }
            | Self::DriveFull { .. }
            | Self::DriveEmpty { .. }
            | Self::InUse { .. }
            | Self::NeedsRestart { .. } => Kind::Conflict,
            Self::DirectIo { .. } | Self::RefusesDirectIo { .. } => Kind::DirectIo,
            Self::LossNotAccepted { .. } => Kind::LossNotAccepted,
            Self::GuestSilent { .. } => Kind::GuestSilent,
            Self::NoSpace { .. } => Kind::NoSpace,
            Self::Unavailable { .. } => Kind::Unavailable,
            Self::Interrupted { .. } => Kind::Interrupted,
            Self::Explained { code, .. } => code.kind(),
            Self::Failed { .. } => Kind::Failed,
        }
    }

    /// A SATA disk of a running domain; `verb` is what was to be done, "attached to" or "detached from".
    pub(crate) fn unpluggable(name: &str, verb: &str, state: State) -> Self {
        Self::Unsupported {
            what: format!("a sata disk cannot be {verb} `{name}` while it is {state}"),
            remedy: "shut it down first, or ask for the bus `virtio` or `scsi`".to_owned(),
        }
    }
}
