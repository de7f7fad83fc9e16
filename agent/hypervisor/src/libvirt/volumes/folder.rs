//! Folders that volumes may lie in.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{no_folder_above, of_io};
use crate::check::check_path;
use crate::error::Error;
use crate::storage::Folder;

/// How long a file system has to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

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
    let mounts = std::fs::read("/proc/self/mountinfo");
    let mounts = mounts.map_err(|error| of_io(&error, Path::new("/proc/self/mountinfo"), "read"))?;
    let real = path.canonicalize().map_err(|error| of_io(&error, path, "look at"))?;
    Ok(Folder {
        path: path.to_owned(),
        file_system: file_system(&mounts, &real).unwrap_or_else(|| "unknown".to_owned()),
        capacity_bytes: size.f_blocks.saturating_mul(size.f_frsize),
        available_bytes: size.f_bavail.saturating_mul(size.f_frsize),
    })
}

/// The type of the file system that `path` lies on, from the text of `/proc/self/mountinfo` (proc(5)): that of the last
/// mount among those with the longest mount point that is above.
fn file_system(mounts: &[u8], path: &Path) -> Option<String> {
    let found = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let point = unescaped(words.nth(4)?);
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        path.starts_with(&point)
            .then(|| (point.as_os_str().len(), String::from_utf8_lossy(kind).into_owned()))
    });
    found.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// A mount point, in which blanks and backslashes stand as three octal digits.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 22 0:26 / /mnt/a\\040b rw master:2 - ramfs none rw\n\
        31 22 0:27 / /mnt rw - tmpfs tmpfs rw\n\
        32 22 0:28 / /mnt rw - xfs /dev/vdb rw\n";

    #[test]
    fn the_nearest_and_topmost_mount_counts() {
        let of = |path: &str| file_system(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(of("/var/lib"), "ext4");
        assert_eq!(of("/mnt/a b/c"), "ramfs");
        assert_eq!(of("/mnt/a"), "xfs");
        assert_eq!(of("/mnt"), "xfs");
        assert_eq!(of("/mntx"), "ext4");
    }

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
