//! The packed file that this server was installed from, which the control tool keeps: hosts that join are installed from the
//! same one. Which it is, says the receipt; `packaging/control-contract.md` fixes the words.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packaging_service::layout::Layout;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::secret;

/// Hosts that fetch it at a time: each takes what the network gives.
const PLACES: usize = 4;

/// Bytes that are hashed at a time.
const CHUNK: usize = 256 << 10;

/// What is kept, and who fetches it.
#[derive(Debug)]
pub struct Packed {
    layout: Layout,
    /// The digest that was found last, with what tells that the file is still the same.
    known: Mutex<Option<(Marks, String)>>,
    places: Arc<Semaphore>,
}

/// A packed file that hosts can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The SHA-256 of all of it, in hexadecimal.
    pub sha256: String,
}

/// Why there is no file to give. Each sentence says what to do.
#[derive(Debug, Error)]
pub enum NoFile {
    /// Nothing says that anything was installed here.
    #[error(
        "this server was not installed from a packed file, so there is none to give; carry one to the host yourself"
    )]
    NotInstalled,
    /// It was installed from a folder.
    #[error(
        "this server was installed without keeping its packed file; run that file's `install` here once more, or carry it to the \
         host yourself"
    )]
    NotKept,
    /// It cannot be read.
    #[error(
        "the packed file `{path}` cannot be read: {cause}; run that file's `install` here once more, or carry it to the host yourself"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// What of the receipt is of interest here.
#[derive(Deserialize)]
struct Receipt {
    #[serde(default)]
    removed: bool,
    #[serde(default)]
    archive: Option<PathBuf>,
}

/// What changes when a file does: path, device, inode, size and time.
type Marks = (PathBuf, u64, u64, u64, i64, i64);

impl Packed {
    /// What is kept under `layout`.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), known: Mutex::default(), places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// The file that hosts are given now. Hashed when it is asked for first, and when it is another.
    ///
    /// # Errors
    /// If there is none.
    pub async fn offer(&self) -> Result<Offer, NoFile> {
        let path = self.kept()?;
        let unreadable = |cause| NoFile::Unreadable { path: path.clone(), cause };
        let marks = marks(&path).map_err(unreadable)?;
        let mut known = self.known.lock().await;
        let sha256 = match known.as_ref().filter(|(of, _)| *of == marks) {
            Some((_, sha256)) => sha256.clone(),
            None => {
                let read = path.clone();
                let hashed = tokio::task::spawn_blocking(move || sha256_of(&read)).await;
                let sha256 = hashed.map_err(io::Error::other).flatten().map_err(unreadable)?;
                *known = Some((marks.clone(), sha256.clone()));
                sha256
            }
        };
        Ok(Offer { path, size_bytes: marks.3, sha256 })
    }

    /// A place among those who fetch it; none if all are taken.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    fn kept(&self) -> Result<PathBuf, NoFile> {
        let path = self.layout.receipt();
        let receipt = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Receipt>(&bytes)
                .map_err(|error| NoFile::Unreadable { path, cause: error.into() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoFile::NotInstalled),
            Err(cause) => return Err(NoFile::Unreadable { path, cause }),
        };
        if receipt.removed {
            return Err(NoFile::NotInstalled);
        }
        receipt.archive.map(|archive| self.layout.below(&archive)).ok_or(NoFile::NotKept)
    }
}

fn marks(path: &Path) -> io::Result<Marks> {
    let found = path.metadata()?;
    Ok((path.to_owned(), found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(secret::hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
