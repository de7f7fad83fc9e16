//! One look at a place on this host, by the calls that QEMU would make. It may take as long as the file system likes:
//! [`super::probe`] sees to it that nobody waits for that.
//!
//! A file of our own ([`super::own`]) is made, written past the page cache, and gone afterwards.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, fstat, ioctl_blksszget, open, statx};
use rustix::io::{Errno, pread, pwrite};

use super::evidence::{Alignment, By, Evidence, PAGE_BYTES, SECTOR_BYTES, Tried};
use super::left::Notes;
use super::own::Own;
use crate::mounts::Mount;

/// Memory at a boundary of its size, as O_DIRECT wants it.
#[repr(align(4096))]
struct Page([u8; PAGE_BYTES as usize]);

/// Writes a file of our own in `folder`.
///
/// # Errors
/// What keeps it from being made or written. A full disk does not: that stands in the evidence.
pub(super) fn by_writing(folder: &Path, mount: &Mount, notes: &Notes) -> Result<Evidence, Errno> {
    let own = Own::make(folder, notes)?;
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
    fn writing_leaves_nothing_and_reading_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let mount = mounts::of(&real).unwrap().unwrap();
        let written = by_writing(&real, &mount, &Notes::new(None)).unwrap();
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
