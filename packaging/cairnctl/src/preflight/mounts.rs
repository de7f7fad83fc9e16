//! Which file system a path lies on, from the kernel's table of mounts. Room and flags are asked of the file system itself,
//! in `storage.rs`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// Its type, such as `ext4`.
    pub(super) kind: String,
}

/// The mount that `path`, which exists, lies on. Nothing where `/proc` does not say.
pub(super) fn of(path: &Path) -> Option<Mount> {
    let path = fs::canonicalize(path).ok()?;
    let table = fs::read("/proc/self/mountinfo").ok()?;
    covering(&parse(&table), &path).cloned()
}

/// `path` with its file system, for evidence: "`/var/lib` (ext4)".
pub(super) fn described(path: &Path) -> String {
    match of(path) {
        Some(mount) => format!("`{}` ({})", path.display(), mount.kind),
        None => format!("`{}`", path.display()),
    }
}

/// The deepest mount above an absolute path, and of several at one point the last, which hides the others.
fn covering<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// Reads `/proc/self/mountinfo`. The fifth field is the mount point; the type comes behind a lone `-`.
fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(4)?)));
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            Some(Mount { point, kind: String::from_utf8_lossy(kind).into_owned() })
        })
        .collect()
}

/// Blanks and backslashes in a path are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if byte == b'\\' => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /var/lib rw - xfs /dev/vdb rw
31 22 0:26 / /var/lib/a\\040b rw master:1 propagate_from:2 - ramfs none rw
32 30 0:27 / /var/lib rw - btrfs /dev/vdc rw
broken line
";

    #[test]
    fn the_deepest_and_last_mount_wins() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.len(), 4);
        let kind = |path: &str| covering(&mounts, Path::new(path)).unwrap().kind.clone();
        assert_eq!(kind("/etc"), "ext4");
        assert_eq!(kind("/var/library"), "ext4");
        assert_eq!(kind("/var/lib/x"), "btrfs");
        assert_eq!(kind("/var/lib/a b/x"), "ramfs");
    }

    #[test]
    fn this_host_is_read() {
        assert_eq!(of(Path::new("/proc/self")).unwrap().kind, "proc");
        assert_eq!(of(Path::new("/not/here")), None);
    }
}
