//! What a test may want mounted or present in a room or a machine, as typed values.

use std::ffi::OsString;
use std::path::PathBuf;

/// A file system, a file or folder of this machine, or a device, at a path inside a room. Folders on the way are
/// made, in the clone, where they are missing.
#[derive(Clone, Debug)]
pub struct Mount {
    kind: &'static str,
    options: Vec<String>,
    source: OsString,
    at: OsString,
}

impl Mount {
    /// A tmpfs, of half the memory unless [`size_bytes`](Self::size_bytes) says less.
    pub fn tmpfs(at: impl Into<OsString>) -> Self {
        Self { kind: "tmpfs", options: vec!["mode=1777".to_owned()], source: "tmpfs".into(), at: at.into() }
    }

    /// A ramfs: a file system without O_DIRECT, and without any limit of size.
    pub fn ramfs(at: impl Into<OsString>) -> Self {
        Self { kind: "ramfs", options: vec!["mode=1777".to_owned()], source: "ramfs".into(), at: at.into() }
    }

    /// Limits a tmpfs. A ramfs takes no notice.
    #[must_use]
    pub fn size_bytes(mut self, bytes: u64) -> Self {
        self.options.push(format!("size={bytes}"));
        self
    }

    /// Nothing on it can be executed.
    #[must_use]
    pub fn noexec(mut self) -> Self {
        self.options.push("noexec".to_owned());
        self
    }

    /// Nothing on it can be written.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.options.retain(|option| option != "rw");
        self.options.push("ro".to_owned());
        self
    }

    /// The four words that `room.sh` takes.
    pub(crate) fn words(&self) -> [OsString; 4] {
        [self.kind.into(), self.options.join(",").into(), self.source.clone(), self.at.clone()]
    }
}

impl From<Bind> for Mount {
    fn from(bind: Bind) -> Self {
        let option = match bind.access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        Self { kind: "bind", options: vec![option.to_owned()], source: bind.from.into(), at: bind.at }
    }
}

impl From<Device> for Mount {
    fn from(device: Device) -> Self {
        let (major, minor) = device.numbers();
        Self {
            kind: "device",
            options: vec![format!("{major}:{minor}")],
            source: OsString::new(),
            at: device.path().into(),
        }
    }
}

/// A file or folder of this machine that is seen inside too. It must exist when the clone is made; mounts that
/// appear below it later are not seen.
#[derive(Clone, Debug)]
pub struct Bind {
    /// An absolute path on this machine.
    pub from: PathBuf,
    /// An absolute path inside.
    pub at: OsString,
    /// Whether the inside may write to it.
    pub access: Access,
}

impl Bind {
    /// Seen, not written.
    pub fn read_only(from: impl Into<PathBuf>, at: impl Into<OsString>) -> Self {
        Self { from: from.into(), at: at.into(), access: Access::ReadOnly }
    }

    /// Seen and written: what a test changes there is changed on this machine.
    pub fn read_write(from: impl Into<PathBuf>, at: impl Into<OsString>) -> Self {
        Self { from: from.into(), at: at.into(), access: Access::ReadWrite }
    }
}

/// Whether something may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A device of this machine. It is made afresh inside, so that its owner and mode on this machine stay as they are;
/// where this machine has none behind it, opening it fails as it would on a host without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// /dev/kvm
    Kvm,
    /// /dev/net/tun
    Tun,
    /// /dev/fuse
    Fuse,
    /// /dev/loop-control
    LoopControl,
}

impl Device {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Kvm => "/dev/kvm",
            Self::Tun => "/dev/net/tun",
            Self::Fuse => "/dev/fuse",
            Self::LoopControl => "/dev/loop-control",
        }
    }

    /// Major and minor number, fixed by the kernel (devices.txt).
    pub(crate) fn numbers(self) -> (u32, u32) {
        match self {
            Self::Kvm => (10, 232),
            Self::Tun => (10, 200),
            Self::Fuse => (10, 229),
            Self::LoopControl => (10, 237),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_becomes_four_words() {
        let mount = Mount::tmpfs("/opt/x").size_bytes(4096).noexec().read_only();
        assert_eq!(mount.words(), ["tmpfs", "mode=1777,size=4096,noexec,ro", "tmpfs", "/opt/x"]);
        let bind = Mount::from(Bind::read_write("/a", "/b"));
        assert_eq!(bind.words(), ["bind", "rw", "/a", "/b"]);
        assert_eq!(bind.read_only().words(), ["bind", "ro", "/a", "/b"]);
        assert_eq!(Mount::from(Device::Kvm).words(), ["device", "10:232", "", "/dev/kvm"]);
    }
}
