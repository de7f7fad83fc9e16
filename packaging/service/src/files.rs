//! How a service makes files that must not be half there: written beside, synced, then renamed. Folders and files
//! that exist are never touched.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Who may read a new file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody on this host.
    Public,
    /// Its owner alone.
    Private,
}

/// A file that is to appear. What is in it is not shown by `{:?}`: it may be a key.
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// With what in it.
    pub content: String,
    /// For whom.
    pub access: Access,
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFile")
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A file or folder that could not be made.
#[derive(Debug, Error)]
#[error("cannot create `{path}`: {cause}; see that the file system is writable and has space, and try again")]
pub struct CreateError {
    path: PathBuf,
    cause: io::Error,
}

impl CreateError {
    /// A failure to make what lies at `path`.
    #[must_use]
    pub fn new(path: &Path, cause: io::Error) -> Self {
        Self { path: path.to_owned(), cause }
    }

    /// What the system said.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

/// Makes the folder at `path` and those above it. Those above are public. True if it was not there before.
///
/// # Errors
/// With the folder's name.
pub fn create_folder(path: &Path, access: Access) -> Result<bool, CreateError> {
    if path.is_dir() {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        create_folder(parent, Access::Public)?;
    }
    let mode = match access {
        Access::Public => 0o755,
        Access::Private => 0o700,
    };
    match DirBuilder::new().mode(mode).create(path).and_then(|()| set_mode(path, mode)) {
        Ok(()) => Ok(true),
        // Another thread or process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(cause) => Err(CreateError { path: path.to_owned(), cause }),
    }
}

/// Makes `files`, which must all lie in folders that exist. All are on disk under temporary names before the first
/// takes its place, so that the moment in which some are there and others are not is as short as can be.
///
/// # Errors
/// With the name of the file at fault. Temporary names that stay behind are overwritten by the next attempt.
pub fn create_files(files: &[NewFile]) -> Result<(), CreateError> {
    for file in files {
        write_beside(file).map_err(|cause| CreateError { path: file.path.clone(), cause })?;
    }
    for file in files {
        std::fs::rename(beside(&file.path), &file.path)
            .and_then(|()| sync_folder(&file.path))
            .map_err(|cause| CreateError { path: file.path.clone(), cause })?;
    }
    Ok(())
}

fn write_beside(file: &NewFile) -> io::Result<()> {
    let path = beside(&file.path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    handle.write_all(file.content.as_bytes())?;
    if file.access == Access::Public {
        set_mode(&path, 0o644)?;
    }
    handle.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// The umask must not decide over what the layout promises.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn folders_that_many_make_at_once_are_made_once() {
        for _ in 0..100 {
            let root = tempfile::tempdir().unwrap();
            let (path, start) = (root.path().join("a/b/c/d"), std::sync::Barrier::new(8));
            let make = || {
                start.wait();
                create_folder(&path, Access::Private).unwrap()
            };
            let made = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
            });
            assert_eq!((made, mode(&path)), (1, 0o700));
        }
    }

    #[test]
    fn secrets_are_for_their_owner_alone_and_leave_nothing_beside_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        assert!(create_folder(&folder, Access::Private).unwrap());
        assert!(!create_folder(&folder, Access::Private).unwrap());
        assert_eq!((mode(&folder), mode(&root.path().join("a"))), (0o700, 0o755));

        // What a killed run left behind is no obstacle, whatever its mode.
        std::fs::write(folder.join(".key.new"), "half").unwrap();
        let new = |name: &str, access| NewFile { path: folder.join(name), content: name.into(), access };
        create_files(&[new("key", Access::Private), new("pem", Access::Public)]).unwrap();
        assert_eq!((mode(&folder.join("key")), mode(&folder.join("pem"))), (0o600, 0o644));
        assert_eq!(std::fs::read_to_string(folder.join("key")).unwrap(), "key");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_the_others_unmade() {
        let root = tempfile::tempdir().unwrap();
        let new = |name: &str| NewFile {
            path: root.path().join(name),
            content: String::new(),
            access: Access::Private,
        };
        let error = create_files(&[new("first"), new("absent/second")]).unwrap_err().to_string();
        assert!(error.contains("absent/second"), "{error}");
        assert!(!root.path().join("first").exists());
    }
}
