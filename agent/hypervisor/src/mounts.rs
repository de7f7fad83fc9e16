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
    /// The number of its device: `254:0`.
    pub(crate) device: String,
    /// All that the kernel tells of it: its number, its options. It changes when it is mounted anew.
    pub(crate) told: String,
}

/// What is mounted at one moment.
#[derive(Debug)]
pub(crate) struct Mounts(Vec<u8>);

impl Mounts {
    /// Now.
    ///
    /// # Errors
    /// That [`MOUNTS`] cannot be read.
    pub(crate) fn now() -> io::Result<Self> {
        Ok(Self(std::fs::read(MOUNTS)?))
    }

    /// The file system of `path`, which has no links in it. None: the kernel tells of none that is above.
    pub(crate) fn of(&self, path: &Path) -> Option<Mount> {
        find(&self.0, path)
    }

    /// Whether one of them is told of in these words.
    pub(crate) fn has(&self, told: &str) -> bool {
        self.0.split(|byte| *byte == b'\n').any(|line| String::from_utf8_lossy(line) == told)
    }
}

/// The file system of `path`, which has no links in it. None: the kernel tells of none that is above.
///
/// # Errors
/// That [`MOUNTS`] cannot be read.
pub(crate) fn of(path: &Path) -> io::Result<Option<Mount>> {
    Ok(Mounts::now()?.of(path))
}

/// The last mount among those with the longest mount point that is above `path`.
fn find(mounts: &[u8], path: &Path) -> Option<Mount> {
    let found = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut words = line.split(|byte| *byte == b' ');
        let device = text(words.nth(2)?);
        let point = unescaped(words.nth(1)?);
        let file_system = text(words.skip_while(|word| *word != b"-").nth(1)?);
        path.starts_with(&point).then(|| Mount { point, file_system, device, told: text(line) })
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
        let nearest = find(MOUNTS, Path::new("/mnt/x")).unwrap();
        assert_eq!((nearest.device.as_str(), nearest.told.split(' ').next().unwrap()), ("0:28", "32"));
    }
}
