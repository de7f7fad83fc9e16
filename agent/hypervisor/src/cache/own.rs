//! Files of our own, by which a folder is tried. Where the file system can, one never has a name, so that nothing is left
//! whenever the agent ends; elsewhere it has one of its own and is removed on every way out. What an agent that was killed left is removed by
//! the next one when it starts, which finds noted where ([`super::left`]), or by the next look into the folder.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use uuid::Uuid;

use super::left::{Note, Notes};

/// What the name of a file of ours begins with, where it has one.
const PREFIX: &str = ".cairn-probe-";

/// A file of our own, which goes when this does.
pub(crate) struct Own {
    /// Its name, if it has one, and that it may lie there.
    path: Option<(PathBuf, Note)>,
    /// It, open for reading and writing.
    pub(crate) file: OwnedFd,
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.path {
            // What stays is removed by the next look.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Own {
    /// One that never has a name, where the file system can.
    pub(super) fn make(folder: &Path, notes: &Notes) -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Self { path: None, file }),
            // File systems that cannot say so in three ways (open(2), BUGS).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {
                Self::named(folder, notes)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Made without O_DIRECT: ramfs refuses to make a file with it, and leaves the file behind all the same.
    pub(crate) fn named(folder: &Path, notes: &Notes) -> Result<Self, Errno> {
        let note = notes.note(folder);
        let path = folder.join(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        let own = Self { path: Some((path, note)), file };
        // Tells others that somebody is at it. Where locks are not known, nobody clears either.
        let _ = flock(&own.file, FlockOperation::NonBlockingLockExclusive);
        Ok(own)
    }

    /// Where it is opened anew, as QEMU would: the same file whatever becomes of its name.
    pub(super) fn reopened(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}

/// Removes what looks that ended in their middle left in a folder. That it cannot is no reason not to look.
pub(super) fn clear(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let left = open(entry.path(), flags, Mode::empty());
        // Who looks at this moment holds the lock, on this host or on another one that has the file system, too.
        if left.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_others_left_is_cleared_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{PREFIX}left")), "").unwrap();
        std::fs::write(folder.path().join("disk"), "").unwrap();
        let busy = Own::named(folder.path(), &Notes::new(None)).unwrap();
        clear(folder.path());
        let kept = busy.path.as_ref().unwrap().0.file_name().unwrap().to_str().unwrap().to_owned();
        let mut found = names(folder.path());
        found.sort();
        assert_eq!(found, [kept, "disk".to_owned()]);
        drop(busy);
        assert_eq!(names(folder.path()), ["disk"]);
    }
}
