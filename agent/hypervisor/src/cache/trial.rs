//! One look at a place on this host, by the calls that QEMU would make. It may take as long as the file system likes:
//! [`super::probe`] sees to it that nobody waits for that.
//!
//! A file of our own is made, written past the page cache, and gone afterwards. Where the file system can, it never has a
//! name, so that nothing is left whenever the agent ends; elsewhere it has one of its own, is removed on every way out, and
//! the next look into the folder removes what a killed agent left.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, StatxFlags, flock, fstat, ioctl_blksszget, open,
    statx,
};
use rustix::io::{Errno, pread, pwrite};
use uuid::Uuid;

use super::evidence::{Alignment, By, Evidence, PAGE_BYTES, SECTOR_BYTES, Tried};
use crate::mounts::Mount;

/// What the name of a file of ours begins with, where it has one.
pub(super) const PREFIX: &str = ".cairn-probe-";

/// Memory at a boundary of its size, as O_DIRECT wants it.
#[repr(align(4096))]
struct Page([u8; PAGE_BYTES as usize]);

/// Writes a file of our own in `folder`.
///
/// # Errors
/// What keeps it from being made or written. A full disk does not: that stands in the evidence.
pub(super) fn by_writing(folder: &Path, mount: &Mount) -> Result<Evidence, Errno> {
    let own = Own::make(folder)?;
    let mut evidence = nothing_tried(mount, By::Writing);
    evidence.statx = told_of(&own.reopened());
    let direct = open(own.reopened(), OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty());
    let direct = tried(&mut evidence.open, direct)?;
    if let Some(direct) = direct {
        let page = Box::new(Page([0; PAGE_BYTES as usize]));
        for (outcome, bytes) in [(&mut evidence.sector, SECTOR_BYTES), (&mut evidence.page, PAGE_BYTES)] {
            let bytes = &page.0[..bytes as usize];
            let written = pwrite(&direct, bytes, 0).and_then(|written| match written == bytes.len() {
                true => Ok(()),
                // Less is written only where there is no room for more.
                false => Err(Errno::NOSPC),
            });
            tried(outcome, written)?;
        }
    }
    Ok(evidence)
}

/// Reads a file that is there, or a block device.
///
/// # Errors
/// What keeps it from being opened or read.
pub(super) fn by_reading(file: &Path, mount: &Mount) -> Result<Evidence, Errno> {
    let mut evidence = nothing_tried(mount, By::Reading);
    evidence.statx = told_of(file);
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let direct = open(file, flags, Mode::empty());
    let Some(direct) = tried(&mut evidence.open, direct)? else { return Ok(evidence) };
    let about = fstat(&direct)?;
    if FileType::from_raw_mode(about.st_mode) == FileType::BlockDevice {
        let (major, minor) = (rustix::fs::major(about.st_rdev), rustix::fs::minor(about.st_rdev));
        let sector_bytes = ioctl_blksszget(&direct)?;
        evidence.mount = file.to_owned();
        evidence.file_system = "block device".to_owned();
        evidence.device = format!("{major}:{minor}");
        evidence.statx = Some(Alignment { memory_bytes: sector_bytes, offset_bytes: sector_bytes });
    }
    let mut page = Box::new(Page([0; PAGE_BYTES as usize]));
    for (outcome, bytes) in [(&mut evidence.sector, SECTOR_BYTES), (&mut evidence.page, PAGE_BYTES)] {
        let read = pread(&direct, &mut page.0[..bytes as usize], 0).map(drop);
        tried(outcome, read)?;
    }
    Ok(evidence)
}

/// What the kernel tells of the direct I/O of a file. None: nothing, or the file is not there.
pub(super) fn told_of(file: &Path) -> Option<Alignment> {
    let told = statx(CWD, file, AtFlags::empty(), StatxFlags::DIOALIGN).ok()?;
    let tells = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::DIOALIGN);
    tells.then_some(Alignment {
        memory_bytes: told.stx_dio_mem_align,
        offset_bytes: told.stx_dio_offset_align,
    })
}

fn nothing_tried(mount: &Mount, by: By) -> Evidence {
    Evidence {
        mount: mount.point.clone(),
        file_system: mount.file_system.clone(),
        device: mount.device.clone(),
        statx: None,
        open: Tried::Not,
        by,
        sector: Tried::Not,
        page: Tried::Not,
    }
}

/// Notes how something went. What is neither about O_DIRECT nor about room is an error.
fn tried<T>(outcome: &mut Tried, result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(done) => {
            *outcome = Tried::Worked;
            Ok(Some(done))
        }
        Err(errno) => {
            *outcome = Tried::Failed(errno);
            match outcome.refusal().is_some() || is_full(errno) {
                true => Ok(None),
                false => Err(errno),
            }
        }
    }
}

/// Whether there is no room, which says nothing about O_DIRECT.
pub(super) fn is_full(errno: Errno) -> bool {
    [Errno::NOSPC, Errno::DQUOT].contains(&errno)
}

/// A file of our own, which goes when this does.
struct Own {
    /// Its name, if it has one.
    path: Option<PathBuf>,
    file: OwnedFd,
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What stays is removed by the next look.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Own {
    fn make(folder: &Path) -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Self { path: None, file }),
            // File systems that cannot say so in three ways (open(2), BUGS).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {
                Self::named(folder)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Made without O_DIRECT: ramfs refuses to make a file with it, and leaves the file behind all the same.
    fn named(folder: &Path) -> Result<Self, Errno> {
        let path = folder.join(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        let own = Self { path: Some(path), file };
        // Tells others that somebody is at it. Where locks are not known, nobody clears either.
        let _ = flock(&own.file, FlockOperation::NonBlockingLockExclusive);
        Ok(own)
    }

    /// Where it is opened anew, as QEMU would: the same file whatever becomes of its name.
    fn reopened(&self) -> PathBuf {
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

/// What a path is, without waiting for what it leads to.
pub(super) fn link(path: &Path) -> io::Result<Option<PathBuf>> {
    match rustix::fs::readlink(path, Vec::new()) {
        Ok(target) => {
            use std::os::unix::ffi::OsStringExt;
            Ok(Some(std::ffi::OsString::from_vec(target.into_bytes()).into()))
        }
        // It is there, and no link.
        Err(Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::evidence::Answer;
    use crate::mounts;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_others_left_is_cleared_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{PREFIX}left")), "").unwrap();
        std::fs::write(folder.path().join("disk"), "").unwrap();
        let busy = Own::named(folder.path()).unwrap();
        clear(folder.path());
        let kept = busy.path.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut found = names(folder.path());
        found.sort();
        assert_eq!(found, [kept, "disk".to_owned()]);
        drop(busy);
        assert_eq!(names(folder.path()), ["disk"]);
    }

    #[test]
    fn writing_leaves_nothing_and_reading_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let mount = mounts::of(&real).unwrap().unwrap();
        let written = by_writing(&real, &mount).unwrap();
        assert_eq!(names(&real), [] as [&str; 0]);
        assert!(written.answer().is_some(), "{written}");
        let file = real.join("file");
        std::fs::write(&file, vec![1; 8192]).unwrap();
        let read = by_reading(&file, &mount).unwrap();
        assert_eq!((read.statx, read.open, read.answer()), (written.statx, written.open, written.answer()));
        if let Some(Answer::Direct | Answer::Larger { .. }) = read.answer() {
            assert_eq!((read.open, read.page), (Tried::Worked, Tried::Worked), "{read}");
        }
    }
}
