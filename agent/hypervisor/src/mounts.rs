//! Which file system a path lies on, as the kernel tells: from `/proc/self/mountinfo` (proc(5)).

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the kernel tells.
pub(crate) const MOUNTS: &str = "/proc/self/mountinfo";

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Its type, as the kernel names it: `ext4`, `ramfs`.
    pub(crate) file_system: String,
}

/// The file system of `path`, which has no links in it. None: the kernel tells of none that is above.
///
/// # Errors
/// That [`MOUNTS`] cannot be read.
pub(crate) fn of(path: &Path) -> io::Result<Option<Mount>> {
    Ok(find(&std::fs::read(MOUNTS)?, path))
}

/// The last mount among those with the longest mount point that is above `path`.
fn find(mounts: &[u8], path: &Path) -> Option<Mount> {
    let found = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let point = unescaped(words.nth(4)?);
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        let file_system = String::from_utf8_lossy(kind).into_owned();
        path.starts_with(&point).then_some(Mount { point, file_system })
    });
    found.max_by_key(|mount| mount.point.as_os_str().len())
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
        let of = |path: &str| {
            let mount = find(MOUNTS, Path::new(path)).unwrap();
            (mount.file_system, mount.point.display().to_string())
        };
        let told = |kind: &str, point: &str| (kind.to_owned(), point.to_owned());
        assert_eq!(of("/var/lib"), told("ext4", "/"));
        assert_eq!(of("/mnt/a b/c"), told("ramfs", "/mnt/a b"));
        assert_eq!(of("/mnt/a"), told("xfs", "/mnt"));
        assert_eq!(of("/mnt"), told("xfs", "/mnt"));
        assert_eq!(of("/mntx"), told("ext4", "/"));
    }
}
