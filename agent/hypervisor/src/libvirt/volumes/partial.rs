//! A file that is being made, beside the place where it will be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{no_folder_above, of_io};
use crate::error::Error;

/// `.NAME.partial` until it is published as `NAME`. Its name follows from the other, so that what a killed attempt left is
/// found by the next one. Dropping it before that removes it.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    /// The one of `target`. Touches nothing.
    pub fn of(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| Error::Invalid {
            what: format!("`{}` names no file", target.display()),
            remedy: "end the path with the name of a file".to_owned(),
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        Ok(Self { path: target.with_file_name(hidden), target: target.to_owned() })
    }

    /// The one of `target`, where nothing of an earlier attempt is left.
    pub fn begin(target: &Path) -> Result<Self, Error> {
        if !target.parent().is_some_and(Path::is_dir) {
            return Err(no_folder_above(target));
        }
        let partial = Self::of(target)?;
        partial.clear()?;
        Ok(partial)
    }

    /// Where it is made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what an earlier attempt left.
    pub fn clear(&self) -> Result<(), Error> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(of_io(&error, &self.path, "remove")),
            _ => Ok(()),
        }
    }

    /// Makes it last, and gives it its name, which must be free.
    pub fn publish(self) -> Result<(), Error> {
        let written = std::fs::File::open(&self.path).and_then(|file| file.sync_all());
        written.map_err(|error| of_io(&error, &self.target, "write"))?;
        match renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::NOREPLACE) {
            // A file system, NFS for one, that cannot do both at once.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.rename_if_free(),
            Err(Errno::EXIST) => Err(Error::VolumeExists { path: self.target.clone() }),
            Err(error) => Err(of_io(&error.into(), &self.target, "make")),
            Ok(()) => Ok(()),
        }?;
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        let kept = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        kept.map_err(|error| of_io(&error, folder, "write"))
    }

    fn rename_if_free(&self) -> Result<(), Error> {
        if self.target.symlink_metadata().is_ok() {
            return Err(Error::VolumeExists { path: self.target.clone() });
        }
        std::fs::rename(&self.path, &self.target).map_err(|error| of_io(&error, &self.target, "make"))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It has its name by now, or it is of no use; what cannot be removed the next attempt will find.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_its_name_only_where_that_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.raw");
        let partial = Partial::of(&target).unwrap();
        std::fs::write(partial.path(), "new").unwrap();
        partial.publish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");

        let second = Partial::of(&target).unwrap();
        std::fs::write(second.path(), "other").unwrap();
        assert_eq!(second.publish(), Err(Error::VolumeExists { path: target.clone() }));
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_a_killed_attempt_left_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.raw");
        std::fs::write(folder.path().join(".a.raw.partial"), "half").unwrap();
        Partial::of(&target).unwrap().clear().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Partial::of(Path::new("/")).is_err());
    }
}
