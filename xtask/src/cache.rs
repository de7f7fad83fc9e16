//! The cache folder: mirrors, checkouts with their target folders, compressed members, bundled files, packages, inventories,
//! build tools.
//!
//! Everything in it can be deleted, and what no build has used for long is, at the end of one. It lies outside every source
//! tree, and checkouts lie below a folder called `target/package`: cargo's search for an outer workspace ends there, as it does for its own `cargo package`, so that
//! nothing above the cache folder reaches into a build.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::plan::{Lane, Place};

/// After so many days without a build that used it, something in the cache is cleared.
pub const UNUSED_DAYS: u32 = 30;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A build clears no more than this many files and folders, so that it ends soon after its result is there.
const CLEARED_AT_ONCE: usize = 1000;

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
    /// What cargo makes of them for this machine.
    pub target: PathBuf,
    /// What cargo makes of them for others, with another compiler and linker: cargo would take one for the other.
    pub portable: PathBuf,
}

impl Cache {
    /// Opens `folder`, or the user's own. Waits while another build holds it, and tells `waiting` for which, and where.
    ///
    /// # Errors
    /// If it cannot be made or locked.
    pub fn open(folder: Option<&Path>, what: &str, waiting: &dyn Fn(&str, &Path)) -> Result<Self> {
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
            waiting(owner, &folder);
            lock.lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "process {} ({what})", std::process::id())?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where a source's mirror is.
    pub fn mirror(&self, source: &str) -> PathBuf {
        used(self.folder.join("mirrors").join(format!("{}.git", slot_name(source))))
    }

    /// Where a source is checked out and built.
    pub fn slot(&self, place: &Place) -> Slot {
        let folder = used(self.folder.join("target/package").join(slot_name(&place.source)));
        let folder = folder.join(match place.lane {
            Lane::Toolchain => "toolchain",
            Lane::Programs => "programs",
            Lane::Files => "files",
        });
        let [checkout, target, portable] = ["checkout", "target", "portable"].map(|name| folder.join(name));
        Slot { checkout, target, portable }
    }

    /// Where compressed members are kept.
    pub fn members(&self) -> PathBuf {
        self.folder.join("members")
    }

    /// Where bundled files are kept.
    pub fn bundles(&self) -> PathBuf {
        self.folder.join("bundles")
    }

    /// Where packages of operating systems are kept.
    pub fn packages(&self) -> PathBuf {
        self.folder.join("packages")
    }

    /// Where the package client has its own world for the set `name`.
    pub fn apt(&self, name: &str) -> PathBuf {
        self.folder.join("apt").join(name)
    }

    /// Where a second build of the same is made, to be compared.
    pub fn again(&self) -> PathBuf {
        self.folder.join("again")
    }

    /// Where build tools are kept.
    pub fn tools(&self) -> PathBuf {
        self.folder.join("tools")
    }

    /// Where the compiler of portable programs keeps what it makes.
    pub fn zig(&self) -> PathBuf {
        used(self.folder.join("zig"))
    }

    /// Where it is kept what is linked into programs.
    pub fn inventories(&self) -> PathBuf {
        self.folder.join("inventories")
    }

    /// What no build has used for [`UNUSED_DAYS`] before `now`, no more than [`CLEARED_AT_ONCE`] of it: mirrors, slots,
    /// members, bundled files, packages, inventories, build tools and builds that differed. This process holds the folder, so that no other build is
    /// about to use them.
    pub fn unused(&self, now: SystemTime) -> Vec<PathBuf> {
        let limit = now.checked_sub(UNUSED_DAYS * DAY);
        let folders = [
            self.folder.join("mirrors"),
            self.folder.join("target/package"),
            self.members(),
            self.bundles(),
            self.packages(),
            self.folder.join("apt"),
            self.inventories(),
            self.tools(),
            self.again(),
        ];
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let entries = entries.map(|entry| entry.path()).chain([self.folder.join("zig")]);
        let is_old = |path: &PathBuf| {
            let time = path.symlink_metadata().and_then(|metadata| metadata.modified()).ok();
            time.zip(limit).is_some_and(|(time, limit)| time < limit)
        };
        let mut old: Vec<PathBuf> = entries.filter(is_old).take(CLEARED_AT_ONCE).collect();
        old.sort();
        old
    }

    /// Removes one of [`Cache::unused`].
    ///
    /// # Errors
    /// What the system says.
    pub fn clear(path: &Path) -> std::io::Result<()> {
        if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
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

/// Notes, as the time of a file or folder, that a build has used it. Without it, it is made anew some day. Noted once a day: what
/// is kept by its digest stays the file that it was, which need not be read again to be packed.
pub fn used(path: PathBuf) -> PathBuf {
    let _ = File::open(&path).and_then(|file| {
        let (noted, now) = (file.metadata()?.modified()?, SystemTime::now());
        let is_noted = now.duration_since(noted).is_ok_and(|passed| passed < DAY);
        if is_noted { Ok(()) } else { file.set_modified(now) }
    });
    path
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
    fn what_was_not_used_for_long_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(folder.path()), "test", &|_, _| ()).unwrap();
        let now = SystemTime::now();
        let at = |path: &Path, days: u32| File::open(path).unwrap().set_modified(now - days * DAY).unwrap();
        let place = |source: &str| Place { source: source.to_owned(), lane: Lane::Files };
        let slot = |source: &str| {
            let slot = cache.slot(&place(source));
            fs::create_dir_all(&slot.checkout).unwrap();
            slot.checkout.ancestors().nth(2).unwrap().to_owned()
        };
        let (old, recent, again) = (slot("/old"), slot("/recent"), slot("/again"));
        fs::create_dir_all(cache.members()).unwrap();
        let members = ["old", "recent"].map(|name| cache.members().join(name));
        members.iter().for_each(|path| fs::write(path, "").unwrap());
        for (path, days) in [(&old, 31), (&recent, 29), (&again, 90), (&members[0], 31), (&members[1], 29)] {
            at(path, days);
        }
        cache.slot(&place("/again"));
        let unused = cache.unused(now);
        assert_eq!(unused, [members[0].clone(), old.clone()]);
        unused.iter().for_each(|path| Cache::clear(path).unwrap());
        assert!(!old.exists() && recent.exists() && again.exists() && members[1].exists());
        assert!(cache.unused(now).is_empty() && folder.path().join("lock").exists());
    }

    #[test]
    fn sources_have_names_that_people_and_file_systems_can_use() {
        assert!(slot_name("/srv/src/agent").starts_with("agent-"));
        assert!(slot_name("ssh://host/x/server.git").starts_with("server-"));
        assert_ne!(slot_name("/a/agent"), slot_name("/b/agent"));
        assert!(!slot_name("../..").contains('.'));
    }
}
