//! The files of the simulated host.

use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
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
        Self { format, size_bytes, backing, guest: None, allocated_bytes, sha256 }
    }

    /// What a file of this machine looks like. Whatever is on it, it is taken for a guest that answers.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoVolume { path: path.to_owned() },
            _ => Error::Failed {
                what: format!("read `{}`", path.display()),
                cause: error.to_string(),
                remedy: "look at the file".to_owned(),
            },
        })
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

fn read(path: &Path) -> io::Result<File> {
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
    // Specification of qcow2: magic, version (4 bytes each), place of the backing file's name (8), its length and the cluster
    // size (4 each), the guest's size (8); all of it big-endian.
    let word = |at: usize| head.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_be_bytes);
    let qcow2 = head.starts_with(b"QFI\xfb");
    let format = if qcow2 { Format::Qcow2 } else { Format::Raw };
    Ok(File {
        format,
        size_bytes: word(24).filter(|_| qcow2).unwrap_or(length),
        backing: word(8).filter(|place| qcow2 && *place != 0).map(|_| PathBuf::from("its backing file")),
        guest: Some(GuestKind::Answering),
        allocated_bytes: length,
        sha256: hex(digest.finalize().as_slice()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
