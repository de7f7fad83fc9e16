//! The key that a server was asked about, until its answer is there. If that is lost, or the command killed, the server may have
//! taken the host in: it takes the same token once more, from whoever asks for the same key.
//!
//! One file for each token, `.asked-TOKEN.key`. Nobody looks at it but the command.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use packaging_service::files::{Access, NewFile, create_files};
use packaging_service::layout::Layout;
use packaging_service::together::Together;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use uuid::Uuid;

use super::error::JoinError;
use crate::link::IDENTITY;

/// What the names of such files start with, after the dots of theirs and of half a one.
const MARK: &str = "asked-";

/// The key that is asked about.
pub struct Staged {
    /// The key.
    pub key: KeyPair,
    /// True if nobody was asked about it before.
    pub is_new: bool,
    path: PathBuf,
}

impl Staged {
    /// The key that was put aside for `token`, or a new one that is put aside now. Those of other tokens go.
    ///
    /// # Errors
    /// If there is no key to be had, or it cannot be written.
    pub fn take(_: &Together, layout: &Layout, token: Uuid) -> Result<Self, JoinError> {
        let path = layout.tls(&format!(".{MARK}{token}.key"));
        remove(layout, |other| other != path)?;
        let former = std::fs::read_to_string(&path).ok().and_then(|text| KeyPair::from_pem(&text).ok());
        if let Some(key) = former {
            return Ok(Self { key, is_new: false, path });
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(JoinError::Key)?;
        let content = key.serialize_pem();
        create_files(&[NewFile { path: path.clone(), content, access: Access::Private }])?;
        Ok(Self { key, is_new: true, path })
    }

    /// Removes it: it is in its place, or of no use.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn forget(self, _: &Together) -> Result<(), JoinError> {
        std::fs::remove_file(&self.path).or_else(absent_is_fine).map_err(|cause| failed(&self.path, cause))
    }
}

/// Removes what an attempt left that was killed after its key had come into its place.
///
/// # Errors
/// If it cannot be removed.
pub fn sweep(_: &Together, layout: &Layout) -> Result<(), JoinError> {
    let Ok(present) = std::fs::read(layout.tls(&format!("{IDENTITY}.key"))) else { return Ok(()) };
    remove(layout, |path| std::fs::read(path).is_ok_and(|staged| staged == present))
}

/// Removes the files of such a name that are `unwanted`.
fn remove(layout: &Layout, unwanted: impl Fn(&Path) -> bool) -> Result<(), JoinError> {
    let folder = layout.tls_folder();
    let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(|cause| failed(&folder, cause))? {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.trim_start_matches('.').starts_with(MARK));
        if is_ours && unwanted(&entry.path()) {
            std::fs::remove_file(entry.path())
                .or_else(absent_is_fine)
                .map_err(|cause| failed(&entry.path(), cause))?;
        }
    }
    Ok(())
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn failed(path: &Path, cause: io::Error) -> JoinError {
    JoinError::Staged { path: path.to_owned(), cause }
}
