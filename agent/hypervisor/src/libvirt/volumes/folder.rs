//! Folders that volumes may lie in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::partial::Partial;
use super::{PATIENCE, no_folder_above, of_io};
use crate::check::check_path;
use crate::error::Error;
use crate::mounts::{self, MOUNTS};
use crate::storage::Folder;

/// What a folder offers.
pub async fn folder(path: &Path) -> Result<Folder, Error> {
    check_path(path)?;
    let owned = path.to_owned();
    let look = tokio::task::spawn_blocking(move || look(&owned));
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(error)) => Err(of_io(&std::io::Error::other(error), path, "look at")),
        // A network file system whose server is away keeps everyone waiting who touches it.
        Err(_) => Err(Error::Failed {
            what: format!("look at `{}`", path.display()),
            cause: format!("no answer within {} seconds", PATIENCE.as_secs()),
            remedy: "check the file system; one from the network may have lost its server".to_owned(),
        }),
    }
}

/// Makes a folder that everybody can pass through and only its owner can list: QEMU runs as another user, and libvirt
/// gives it the files, never the folders above them. It has its name only once all of that is so: whoever finds it does not
/// ask how it came about.
fn make(path: &Path) -> Result<(), Error> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let partial = Partial::of(path)?;
    match made(partial.path(), path) {
        // Somebody else was faster.
        Err(_) if path.is_dir() => {
            let _ = std::fs::remove_dir(partial.path());
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(no_folder_above(path)),
        Err(error) => Err(of_io(&error, path, "make the folder")),
        Ok(()) => Ok(()),
    }
}

fn made(partial: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(partial) {
        // A killed attempt left it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // Whatever the mask of this process is.
    std::fs::set_permissions(partial, Permissions::from_mode(0o711))?;
    std::fs::rename(partial, path)
}

fn look(path: &Path) -> Result<Folder, Error> {
    make(path)?;
    if !path.is_dir() {
        return Err(Error::Invalid {
            what: format!("`{}` is no folder", path.display()),
            remedy: "choose another path".to_owned(),
        });
    }
    let size = rustix::fs::statvfs(path).map_err(|error| of_io(&error.into(), path, "look at"))?;
    let real = path.canonicalize().map_err(|error| of_io(&error, path, "look at"))?;
    let mount = mounts::of(&real).map_err(|error| of_io(&error, Path::new(MOUNTS), "read"))?;
    Ok(Folder {
        path: path.to_owned(),
        file_system: mount.map_or_else(|| "unknown".to_owned(), |mount| mount.file_system),
        capacity_bytes: size.f_blocks.saturating_mul(size.f_frsize),
        available_bytes: size.f_bavail.saturating_mul(size.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_if_only_it_is_missing() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("images");
        // What a killed attempt left is made use of.
        std::fs::create_dir(above.path().join(".images.partial")).unwrap();
        assert!(look(&path).unwrap().capacity_bytes > 0);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o711);
        assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 1);
        assert!(look(&path).is_ok() && path.is_dir());
        let deep = look(&above.path().join("a/b")).unwrap_err();
        assert_eq!(deep.kind(), crate::Kind::Invalid);
        std::fs::write(above.path().join("file"), "").unwrap();
        assert_eq!(look(&above.path().join("file")).unwrap_err().kind(), crate::Kind::Invalid);
    }
}
