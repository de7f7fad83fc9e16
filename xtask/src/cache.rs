//! The cache folder: mirrors, checkouts with their target folders, compressed members, bundled files.
//!
//! Everything in it can be deleted. It lies outside every source tree, and checkouts lie below a folder called
//! `target/package`: cargo's search for an outer workspace ends there, as it does for its own `cargo package`, so that
//! nothing above the cache folder reaches into a build.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

/// The folder, held by this process alone.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    _lock: File,
}

/// A checkout at a fixed path with a target folder of its own.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The source's files.
    pub checkout: PathBuf,
    /// What cargo makes of them.
    pub target: PathBuf,
}

impl Cache {
    /// Opens `folder`, or the user's own. Waits while another build holds it, and says through `say` for which.
    ///
    /// # Errors
    /// If it cannot be made or locked.
    pub fn open(folder: Option<&Path>, what: &str, say: &dyn Fn(&str)) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => default_folder()?,
        };
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create the cache folder `{}`", folder.display()))?;
        let folder = folder.canonicalize()?;
        let path = folder.join("lock");
        let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            let mut owner = String::new();
            lock.read_to_string(&mut owner)?;
            let owner = Some(owner.trim()).filter(|owner| !owner.is_empty()).unwrap_or("another build");
            say(&format!("waiting for {owner} to leave `{}`", folder.display()));
            lock.lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "process {} ({what})", std::process::id())?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where a source's mirror is.
    pub fn mirror(&self, source: &str) -> PathBuf {
        self.folder.join("mirrors").join(format!("{}.git", slot_name(source)))
    }

    /// Where a source is checked out and built.
    pub fn slot(&self, source: &str) -> Slot {
        let folder = self.folder.join("target/package").join(slot_name(source));
        Slot { checkout: folder.join("checkout"), target: folder.join("target") }
    }

    /// Where compressed members are kept.
    pub fn members(&self) -> PathBuf {
        self.folder.join("members")
    }

    /// Where bundled files are kept.
    pub fn bundles(&self) -> PathBuf {
        self.folder.join("bundles")
    }

    /// An empty folder to stage in; what an earlier build left there is removed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn stage(&self) -> Result<PathBuf> {
        let folder = self.folder.join("stage");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(folder)
    }
}

/// A folder name for a source: its last part for people, and the start of a digest for uniqueness.
pub fn slot_name(source: &str) -> String {
    let digest = Sha256::digest(source.as_bytes());
    let digest: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let last = source.trim_end_matches('/').trim_end_matches(".git").rsplit('/').next().unwrap_or_default();
    let clean: String =
        last.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(24).collect();
    if clean.is_empty() { digest } else { format!("{clean}-{digest}") }
}

/// The user's cache folder for this product.
///
/// # Errors
/// If the user has none.
pub fn default_folder() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("cairn"))
        .ok_or_else(|| Failure::usage("neither HOME nor XDG_CACHE_HOME is set; name a folder with --cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_names_that_people_and_file_systems_can_use() {
        assert!(slot_name("/srv/src/agent").starts_with("agent-"));
        assert!(slot_name("ssh://host/x/server.git").starts_with("server-"));
        assert_ne!(slot_name("/a/agent"), slot_name("/b/agent"));
        assert!(!slot_name("../..").contains('.'));
    }
}
