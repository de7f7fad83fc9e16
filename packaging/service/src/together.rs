//! Files of one folder that appear together, whatever happens in between: a key is of no use without its certificate, and
//! neither is with half of an authority.
//!
//! ```text
//!   .joining/  written and synced --rename--> .joined/  --rename each--> the files
//!      (a kill: of no account)                  (a kill: settled by whoever looks next)
//! ```
//!
//! Whoever looks or changes holds a lock on the folder, so that nobody sees them half moved.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Access, CreateError, NewFile, create_files, create_folder};

const STAGED: &str = ".joining";
const READY: &str = ".joined";

/// A folder that nobody else changes meanwhile, with nothing half made in it.
#[derive(Debug)]
pub struct Together {
    path: PathBuf,
    folder: File,
}

impl Together {
    /// Waits until nobody else changes the folder at `path`, and clears up behind an attempt that was killed.
    ///
    /// # Errors
    /// If the folder is not there or cannot be changed.
    pub fn wait(path: &Path) -> io::Result<Self> {
        let folder = File::open(path)?;
        folder.lock()?;
        let together = Self { path: path.to_owned(), folder };
        absent_is_fine(std::fs::remove_dir_all(path.join(STAGED)))?;
        together.settle()?;
        Ok(together)
    }

    /// Finishes what an attempt that was killed began. None if somebody changes the folder now.
    ///
    /// # Errors
    /// If the folder is not there, or cannot be changed and has to be.
    pub fn now(path: &Path) -> io::Result<Option<Self>> {
        let folder = File::open(path)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let together = Self { path: path.to_owned(), folder };
        together.settle()?;
        Ok(Some(together))
    }

    /// Puts `files` into the folder, over what is there: all of them or none. Only their names count, not their folders.
    ///
    /// # Errors
    /// If one cannot be made. What was there is then as it was, or the next who looks finishes it.
    pub fn put(&self, files: Vec<NewFile>) -> Result<(), CreateError> {
        if files.is_empty() {
            return Ok(());
        }
        let staged = self.path.join(STAGED);
        create_folder(&staged, Access::Private)?;
        let inside =
            |file: NewFile| NewFile { path: staged.join(file.path.file_name().unwrap_or_default()), ..file };
        create_files(&files.into_iter().map(inside).collect::<Vec<_>>())?;
        let moved = std::fs::rename(&staged, self.path.join(READY))
            .and_then(|()| self.folder.sync_all())
            .and_then(|()| self.settle());
        moved.map_err(|cause| CreateError::new(&self.path, cause))
    }

    /// Finishes what was begun.
    fn settle(&self) -> io::Result<()> {
        let ready = self.path.join(READY);
        let entries = match std::fs::read_dir(&ready) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            std::fs::rename(entry.path(), self.path.join(entry.file_name()))?;
        }
        self.folder.sync_all()?;
        std::fs::remove_dir(&ready)?;
        self.folder.sync_all()
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["a.key", "a.pem", "ca.pem"];

    fn new(content: &str) -> Vec<NewFile> {
        let file =
            |name: &str| NewFile { path: name.into(), content: content.into(), access: Access::Private };
        NAMES.map(file).into()
    }

    /// What lies in the folder, the files by their content.
    fn found(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let content = std::fs::read_to_string(entry.path()).unwrap_or("a folder".to_owned());
                (entry.file_name().into_string().unwrap(), content)
            })
            .collect();
        found.sort();
        found
    }

    fn all(content: &str) -> Vec<(String, String)> {
        NAMES.map(|name| (name.to_owned(), content.to_owned())).into()
    }

    /// A kill before the one rename that counts leaves what was; one after it, what was to be.
    #[test]
    fn a_kill_anywhere_leaves_all_or_nothing() {
        for moved in 0..=NAMES.len() {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path();
            Together::wait(folder).unwrap().put(new("old")).unwrap();
            let ready = folder.join(READY);
            std::fs::create_dir(&ready).unwrap();
            for (at, name) in NAMES.iter().enumerate() {
                std::fs::write(if at < moved { folder } else { &ready }.join(name), "new").unwrap();
            }
            assert!(Together::now(folder).unwrap().is_some());
            assert_eq!(found(folder), all("new"), "{moved} were moved");
        }
        for written in 0..=NAMES.len() {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path();
            Together::wait(folder).unwrap().put(new("old")).unwrap();
            std::fs::create_dir(folder.join(STAGED)).unwrap();
            for name in &NAMES[..written] {
                std::fs::write(folder.join(STAGED).join(name), "new").unwrap();
            }
            drop(Together::wait(folder).unwrap());
            assert_eq!(found(folder), all("old"), "{written} were written");
        }
    }

    #[test]
    fn one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = Together::wait(root.path()).unwrap();
        assert!(Together::now(root.path()).unwrap().is_none());
        drop(held);
        assert!(Together::now(root.path()).unwrap().is_some());
        assert!(Together::now(&root.path().join("absent")).is_err());
    }
}
