//! What is installed from: a .run file, or a folder that one was extracted into.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Entry, MANIFEST, Manifest};
use sha2::{Digest as _, Sha256};

use crate::exit::{Code, Exit};
use crate::host::sha256_of;
use crate::role::Role;

/// Where the files of a version come from.
pub enum Source {
    /// A .run file, verified.
    Archive(Box<Archive>),
    /// A folder with a manifest. Each file is compared with it when it is copied.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What it should hold.
        manifest: Box<Manifest>,
        /// The same, as it lies there.
        json: Vec<u8>,
    },
}

impl Source {
    /// A folder that a .run file was extracted into.
    ///
    /// # Errors
    /// If it holds no manifest that this program reads.
    pub fn folder(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        let json = fs::read(&file).with_context(|| {
            format!("cannot read `{}`; name a folder that a .run file was extracted into", file.display())
        })?;
        let manifest = serde_json::from_slice(&json).map_err(|error| {
            Exit::error(Code::Damaged, format!("`{}` is damaged ({error}); extract again", file.display()))
        })?;
        Ok(Self::Folder { path: path.to_owned(), manifest: Box::new(manifest), json })
    }

    /// What is inside.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Archive(archive) => archive.manifest(),
            Self::Folder { manifest, .. } => manifest,
        }
    }

    /// The .run file, if this is one.
    pub fn archive(&self) -> Option<&Archive> {
        match self {
            Self::Archive(archive) => Some(archive),
            Self::Folder { .. } => None,
        }
    }

    /// What tells it from another one: the digest of an archive, or of a folder's manifest.
    pub fn digest(&self) -> String {
        match self {
            Self::Archive(archive) => packaging_archive::hex(&archive.trailer().digest),
            Self::Folder { json, .. } => packaging_archive::hex(&Sha256::digest(json)),
        }
    }

    /// Looks at every file that a host of `role` needs. An archive was looked at when it was opened.
    ///
    /// # Errors
    /// Exit code 2 for damage.
    pub fn check(&self, role: Role) -> Result<()> {
        match self {
            Self::Archive(_) => Ok(()),
            Self::Folder { path, manifest, .. } => {
                entries_of(manifest, role).try_for_each(|entry| checked(path, entry).map(drop))
            }
        }
    }

    /// The bytes of one entry.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>> {
        match self {
            Self::Archive(archive) => {
                let mut bytes = Vec::new();
                archive.read_entry(entry.path.as_str(), &mut bytes)?;
                Ok(bytes)
            }
            Self::Folder { path, .. } => {
                let file = checked(path, entry)?;
                fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))
            }
        }
    }

    /// Writes what `role` needs into `folder`, which must be empty or absent.
    pub fn unpack(&self, role: Role, folder: &Path) -> Result<()> {
        match self {
            Self::Archive(archive) => {
                let wanted: Vec<&str> = archive
                    .manifest()
                    .sections_of(role.as_str())
                    .map(|section| section.name.as_str())
                    .collect();
                Ok(archive.extract(folder, &|section| wanted.contains(&section), &mut |_| ())?)
            }
            Self::Folder { path, manifest, json } => {
                crate::host::make_folders(folder)?;
                fs::write(folder.join(MANIFEST), json)
                    .with_context(|| format!("cannot write to `{}`", folder.display()))?;
                for entry in entries_of(manifest, role) {
                    let (from, to) = (checked(path, entry)?, entry.path.below(folder));
                    crate::host::make_folders(to.parent().unwrap_or(folder))?;
                    fs::copy(&from, &to)
                        .with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))?;
                    crate::host::set_mode(&to, entry.mode.bits())?;
                }
                Ok(())
            }
        }
    }
}

/// The entries that a host of `role` needs.
pub fn entries_of(manifest: &Manifest, role: Role) -> impl Iterator<Item = &Entry> {
    let wanted: Vec<&str> =
        manifest.sections_of(role.as_str()).map(|section| section.name.as_str()).collect();
    manifest.entries.iter().filter(move |entry| wanted.contains(&entry.section.as_str()))
}

fn checked(folder: &Path, entry: &Entry) -> Result<PathBuf> {
    let file = entry.path.below(folder);
    if !sha256_of(&file).is_ok_and(|sha256| sha256 == entry.sha256) {
        let sentence = format!("`{}` is not the file that was packed; extract again", file.display());
        return Err(Exit::error(Code::Damaged, sentence));
    }
    Ok(file)
}
