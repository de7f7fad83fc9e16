//! A packed file and what lies beside it: its SHA-256 as `sha256sum --check` reads it, the list of its parts, the statement
//! of how it was made, and, where it is signed, a signature over the whole file as `openssl dgst -verify` reads it.
//!
//! Until a file is known to be good it waits in a folder of its own beside its place, so that a rename suffices.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{Digest, PrivateKey, hex};

use crate::supply::{Beside, PROVENANCE_EXTENSION, SBOM_EXTENSION};

/// What names beside the file end with.
const EXTENSIONS: [&str; 4] = ["sha256", "sig", SBOM_EXTENSION, PROVENANCE_EXTENSION];

/// Where `file` is until [`publish`] puts it in its place. Empty: what an earlier run left is removed.
///
/// # Errors
/// If that cannot be removed.
pub fn waiting(file: &Path) -> Result<PathBuf> {
    discard(file)?;
    Ok(waiting_folder(file).join(name(file)))
}

/// Where `file` is, if it waits.
pub fn waits(file: &Path) -> PathBuf {
    waiting_folder(file).join(name(file))
}

/// Removes what waits.
///
/// # Errors
/// If it cannot be removed.
pub fn discard(file: &Path) -> Result<()> {
    let folder = waiting_folder(file);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    Ok(())
}

/// Puts what waits in its place. Nothing old ever lies beside a new file: it goes first, and what is new comes last.
///
/// # Errors
/// If one of them cannot be written.
pub fn publish(file: &Path, digest: &Digest, key: Option<&PrivateKey>, supply: &Beside) -> Result<()> {
    let mut beside = vec![("sha256", format!("{}  {}\n", hex(digest), name(file)).into_bytes())];
    if let Some(key) = key {
        beside.push(("sig", key.sign(digest)?.to_der()));
    }
    beside.extend(supply.sbom.clone().map(|sbom| (SBOM_EXTENSION, sbom)));
    beside.extend(supply.provenance.clone().map(|provenance| (PROVENANCE_EXTENSION, provenance)));
    let publish = || -> std::io::Result<()> {
        for (extension, bytes) in &beside {
            fs::write(waits(file).with_added_extension(extension), bytes)?;
        }
        for extension in EXTENSIONS {
            let place = file.with_added_extension(extension);
            if place.exists() {
                fs::remove_file(place)?;
            }
        }
        fs::rename(waits(file), file)?;
        for (extension, _) in &beside {
            let from = waits(file).with_added_extension(extension);
            fs::rename(from, file.with_added_extension(extension))?;
        }
        Ok(())
    };
    publish().with_context(|| format!("cannot write `{}`", file.display()))
}

fn waiting_folder(file: &Path) -> PathBuf {
    file.with_file_name(format!(".{}.unfinished", name(file)))
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
