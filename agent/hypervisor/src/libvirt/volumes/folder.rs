//! Folders that volumes may lie in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
/// gives it the files, never the folders above them.
fn make(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)?;
    // Whatever the mask of this process is.
    std::fs::set_permissions(path, Permissions::from_mode(0o711))
}

fn look(path: &Path) -> Result<Folder, Error> {
    match make(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_folder_above(path)),
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(of_io(&error, path, "make the folder"));
        }
        _ => {}
    }
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
        assert!(look(&path).unwrap().capacity_bytes > 0);
        assert!(look(&path).is_ok() && path.is_dir());
        let deep = look(&above.path().join("a/b")).unwrap_err();
        assert_eq!(deep.kind(), crate::Kind::Invalid);
        std::fs::write(above.path().join("file"), "").unwrap();
        assert_eq!(look(&above.path().join("file")).unwrap_err().kind(), crate::Kind::Invalid);
    }
}
