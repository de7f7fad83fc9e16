//! What the volume folder does with direct I/O. There are four answers, not two, because a file system can accept it and
//! buffer all the same, or want a larger alignment than a guest's sector. What that means depends on the cache mode of the
//! virtual machines, which this program does not know; so it says what works, warns, and never fails: storages may lie
//! elsewhere.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;

use super::Subject;
use super::mounts;
use super::probe::{Probe, errno, nearest};
use super::report::Finding;

/// The sector of a guest's disk in bytes, unless a volume says otherwise.
const SECTOR: usize = 512;

/// A page, and the sector of the largest disks, in bytes: what every direct write may be aligned to.
const PAGE: usize = 4096;

/// What a folder answers.
#[derive(Debug)]
enum Answer {
    /// It works by guest sectors. The alignment in bytes as the kernel reports it; older kernels and some file systems do
    /// not.
    Direct(Option<u32>),
    /// It is accepted, and goes through the page cache.
    Buffered,
    /// It is refused, when the file is opened or written.
    Refused { at: &'static str, error: io::Error },
    /// It works by this many bytes, which is more than a guest's sector.
    Coarse(usize),
}

/// Probes the folder of volumes.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let folder = nearest(&subject.layout.volumes());
    vec![finding(&mounts::described(&folder), ask(&folder))]
}

fn finding(place: &str, answer: io::Result<Answer>) -> Finding {
    let warn = |seen: String, works: &str| {
        Finding::warn(
            format!("{place}: {seen}; cache mode {works}"),
            "add storages on another file system, unless the release that is installed can set the cache mode to `writeback`",
        )
    };
    match answer {
        Ok(Answer::Direct(alignment)) => {
            let alignment = alignment.map_or("not reported".into(), |bytes| format!("{bytes} bytes"));
            Finding::pass(format!("{place}: direct (alignment {alignment}); cache mode `none` works"))
        }
        Ok(Answer::Buffered) => warn(
            "accepted but buffered (`statx` reports alignment 0)".into(),
            "`none` works, and goes through the page cache",
        ),
        Ok(Answer::Refused { at, error }) => {
            warn(format!("refused ({} at {at})", errno(&error)), "`none` does not work")
        }
        Ok(Answer::Coarse(bytes)) => warn(
            format!("direct, but only by {bytes} bytes, and a guest's sector has {SECTOR}"),
            "`none` is for disks with larger sectors",
        ),
        Err(error) => Finding::warn(
            format!("{place}: could not be tried, {}", errno(&error)),
            "see to it that a file can be made there, then run `preflight` again",
        ),
    }
}

/// Asks by doing: opening, writing a page, writing a sector, and `statx`, which alone tells a silent buffer.
fn ask(folder: &Path) -> io::Result<Answer> {
    // Some file systems refuse to create a file with O_DIRECT and leave it behind: it is created without.
    let (probe, _plain) = Probe::create(folder, 0o600)?;
    let flags = (OFlags::DIRECT | OFlags::NOFOLLOW).bits();
    let file = match OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.cast_signed())
        .open(probe.path())
    {
        Ok(file) => file,
        Err(error) => return refused("open", error),
    };
    let alignment = reported_alignment(&file);
    if alignment == Some(0) {
        return Ok(Answer::Buffered);
    }
    let buffer = vec![0; 2 * PAGE];
    let start = buffer.as_ptr().align_offset(PAGE);
    let page = buffer.get(start..start.saturating_add(PAGE)).ok_or(io::ErrorKind::OutOfMemory)?;
    if let Err(error) = file.write_all_at(page, 0) {
        return match alignment {
            Some(bytes) if bytes as usize > PAGE => Ok(Answer::Coarse(bytes as usize)),
            _ => refused("write", error),
        };
    }
    match (file.write_all_at(&page[..SECTOR], PAGE as u64), alignment) {
        (Err(error), _) if !is_refusal(&error) => Err(error),
        (Err(_), bytes) => Ok(Answer::Coarse(bytes.map_or(PAGE, |bytes| (bytes as usize).max(PAGE)))),
        (Ok(()), Some(bytes)) if bytes as usize > SECTOR => Ok(Answer::Coarse(bytes as usize)),
        (Ok(()), alignment) => Ok(Answer::Direct(alignment)),
    }
}

/// A full disk says nothing about direct I/O; these errors do.
fn refused(at: &'static str, error: io::Error) -> io::Result<Answer> {
    if is_refusal(&error) { Ok(Answer::Refused { at, error }) } else { Err(error) }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

/// The alignment of file offsets in bytes; 0 says that direct I/O is not supported. `None` before Linux 6.1, and where
/// the file system does not report it.
fn reported_alignment(file: &File) -> Option<u32> {
    let answer = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    (answer.stx_mask & StatxFlags::DIOALIGN.bits() != 0).then_some(answer.stx_dio_offset_align)
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn the_probe_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        ask(folder.path()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert_eq!(errno(&ask(&folder.path().join("not-here")).unwrap_err()), "ENOENT");
    }

    #[test]
    fn every_answer_says_what_works() {
        let evidence = |answer| {
            let finding = finding("`/v` (x)", Ok(answer));
            assert_ne!(finding.state, State::Fail);
            assert_eq!(finding.state == State::Pass, finding.remedy.is_none());
            finding.evidence
        };
        assert_eq!(
            evidence(Answer::Direct(Some(512))),
            "`/v` (x): direct (alignment 512 bytes); cache mode `none` works"
        );
        assert!(evidence(Answer::Direct(None)).contains("not reported"));
        assert!(
            evidence(Answer::Buffered).ends_with("cache mode `none` works, and goes through the page cache")
        );
        let error = io::Error::from_raw_os_error(Errno::INVAL.raw_os_error());
        assert_eq!(
            evidence(Answer::Refused { at: "open", error }),
            "`/v` (x): refused (EINVAL at open); cache mode `none` does not work"
        );
        assert!(evidence(Answer::Coarse(4096)).contains("by 4096 bytes"));
        assert_eq!(finding("`/v`", Err(io::ErrorKind::StorageFull.into())).state, State::Warn);
    }
}
