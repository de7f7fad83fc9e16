//! The files of the simulated host.

use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::image::{self, Found};
use crate::spec::Format;
use crate::storage::Volume;

/// What an empty qcow2 file takes, as `qemu-img create` makes it.
const EMPTY_QCOW2_BYTES: u64 = 196_624;

/// What boots from a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestKind {
    /// It turns itself off when its power button is pressed, and lets go of disks.
    Answering,
    /// It does neither.
    Silent,
}

/// A file of the simulated host. It has no bytes, only what can be seen of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub format: Format,
    /// What a guest sees, in bytes.
    pub size_bytes: u64,
    /// The file that it lies on.
    pub backing: Option<PathBuf>,
    /// What boots from it; None: nothing does, or what the file under it has.
    pub guest: Option<GuestKind>,
    /// What it takes of its file system, in bytes.
    pub allocated_bytes: u64,
    /// SHA-256 of its bytes, if it had any. Copies have the same.
    pub sha256: String,
    /// The file that a qcow2 header names which the guest of this raw disk wrote to its first sectors.
    pub forged: Option<PathBuf>,
}

impl File {
    /// An image that `guest` boots from. Two of the same words are alike.
    #[must_use]
    pub fn image(format: Format, size_bytes: u64, guest: GuestKind) -> Self {
        let sha256 = hex(Sha256::digest(format!("{format} {size_bytes} {guest:?}")).as_slice());
        Self { guest: Some(guest), sha256, ..Self::blank(format, size_bytes, None) }
    }

    /// A disk that nothing was written to.
    #[must_use]
    pub fn blank(format: Format, size_bytes: u64, backing: Option<PathBuf>) -> Self {
        let allocated_bytes = match format {
            Format::Raw => size_bytes,
            Format::Qcow2 => EMPTY_QCOW2_BYTES,
        };
        let sha256 = hex(Sha256::digest(format!("{format} {size_bytes} {backing:?}")).as_slice());
        Self { format, size_bytes, backing, guest: None, allocated_bytes, sha256, forged: None }
    }

    /// What a file of this machine looks like as an image. Whatever is on it, it is taken for a guest that answers.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoVolume { path: path.to_owned() },
            _ => Error::Failed {
                what: format!("read `{}`", path.display()),
                cause: error.to_string(),
                remedy: "look at the file".to_owned(),
            },
        };
        let format = image::look(path).map_err(failed)?.format(path)?;
        read(path, format).map_err(failed)
    }

    /// What it is as an image from elsewhere, judged by how it begins.
    pub(super) fn found(&self) -> Found {
        match self.backing.as_ref().or(self.forged.as_ref()) {
            Some(other) => Found::Naming(other.clone()),
            None => Found::Alone(self.format),
        }
    }

    /// What it is to one who takes it for that.
    pub(super) fn volume_as(&self, path: &Path, format: Format) -> Result<Volume, Error> {
        match format {
            _ if format == self.format => Ok(self.volume(path)),
            Format::Raw => {
                let size_bytes = self.allocated_bytes;
                Ok(Volume { format, size_bytes, backing: None, ..self.volume(path) })
            }
            Format::Qcow2 => Err(Error::Failed {
                what: format!("look at `{}`", path.display()),
                cause: format!("it is not in the format `{format}`"),
                remedy: "look at the file".to_owned(),
            }),
        }
    }

    pub(super) fn volume(&self, path: &Path) -> Volume {
        Volume {
            path: path.to_owned(),
            format: self.format,
            size_bytes: self.size_bytes,
            allocated_bytes: self.allocated_bytes,
            backing: self.backing.clone(),
        }
    }
}

fn read(path: &Path, format: Format) -> io::Result<File> {
    let mut file = std::fs::File::open(path)?;
    let (mut digest, mut length, mut head) = (Sha256::new(), 0_u64, Vec::new());
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        if length == 0 {
            head = chunk.iter().take(32).copied().collect();
        }
        digest.update(chunk);
        length += count as u64;
    }
    // Where a header of qcow2 has the size of the disk, big-endian.
    let size = head.get(24..32).filter(|_| format == Format::Qcow2);
    let size = size.and_then(|size| size.try_into().ok()).map(u64::from_be_bytes);
    Ok(File {
        format,
        size_bytes: size.unwrap_or(length),
        backing: None,
        guest: Some(GuestKind::Answering),
        allocated_bytes: length,
        sha256: hex(digest.finalize().as_slice()),
        forged: None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
