//! The folder that a benchmark works in, which is its own and is removed at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::failure::Failure;

/// The folder, held by this process alone.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    _lock: File,
}

impl Room {
    /// An empty one below `out`.
    ///
    /// # Errors
    /// If another benchmark works there, or it cannot be made.
    pub fn new(out: &Path) -> Result<Self> {
        fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
        let out = out.canonicalize()?;
        let lock = File::options().write(true).create(true).truncate(false).open(out.join("lock"))?;
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            let sentence = "another benchmark works in it; wait for its end: two at once measure each other";
            return Err(Failure::usage(format!("`{}`: {sentence}", out.display())));
        }
        let room = Self { folder: out.join("room"), _lock: lock };
        emptied(&room.folder)?;
        for folder in [room.made(), room.work()] {
            fs::create_dir(folder)?;
        }
        room.clear()?;
        Ok(room)
    }

    /// Empties what a measured program may have written to.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn clear(&self) -> Result<()> {
        [self.out(), self.tmp(), self.cache(), self.extracted()].iter().try_for_each(|folder| emptied(folder))
    }

    /// The tree that is packed.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// The tree after a change.
    pub fn changed(&self) -> PathBuf {
        self.folder.join("changed")
    }

    /// What was made before the first round, for programs to read.
    pub fn made(&self) -> PathBuf {
        self.folder.join("made")
    }

    /// Where measured programs are started.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where a measured program puts the file that it makes.
    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// `TMPDIR` of a measured program.
    pub fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Where our packing keeps compressed members.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Beside where archives are extracted to: the folder itself is not there yet.
    pub fn extracted(&self) -> PathBuf {
        self.folder.join("extracted")
    }

    /// A file of ours.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What stays is removed by the next benchmark.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir(folder).with_context(|| format!("cannot create `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_do_not_share_a_room_and_nothing_stays() {
        let out = tempfile::tempdir().unwrap();
        let room = Room::new(out.path()).unwrap();
        let refused = Room::new(out.path()).unwrap_err();
        assert!(refused.to_string().contains("another benchmark"), "{refused}");
        fs::write(room.tmp().join("left"), "").unwrap();
        room.clear().unwrap();
        assert!(fs::read_dir(room.tmp()).unwrap().next().is_none());
        let folder = room.folder.clone();
        drop(room);
        assert!(!folder.exists());
        Room::new(out.path()).unwrap();
    }
}
