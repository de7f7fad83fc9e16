//! What the data folders do with direct I/O. There are four answers, not two, because a file system can accept it and buffer all
//! the same, or want a larger alignment than a guest's sector. From that follows what the cache mode `auto` becomes there, by the
//! agent's rule. It warns and never fails: storages may lie elsewhere.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// What the cache mode `auto` of a disk becomes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auto {
    None,
    Writeback,
}

impl Auto {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Writeback => "writeback",
        }
    }
}

/// File systems that keep checksums of what they write: a guest that changes that meanwhile leaves a wrong one.
const CHECKSUMS: [&str; 3] = ["btrfs", "zfs", "bcachefs"];

/// Probes the folders of images and volumes, each file system once.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let mut folders: Vec<(Option<u64>, PathBuf)> = Vec::new();
    for folder in [subject.layout.volumes(), subject.layout.images()] {
        let at = nearest(&folder);
        let device = at.metadata().ok().map(|metadata| metadata.dev());
        if folders.iter().all(|(known, _)| *known != device) {
            folders.push((device, at));
        }
    }
    let look = |(_, at): (_, PathBuf)| {
        let kind = mounts::of(&at).map(|mount| mount.kind).unwrap_or_default();
        let answer = ask(&at).map(|answer| known(answer, &kind));
        finding(&mounts::described(&at), &kind, answer)
    };
    folders.into_iter().map(look).collect()
}

/// What some file systems do not tell: they take direct I/O, and have nothing to go past the page cache with.
fn known(answer: Answer, kind: &str) -> Answer {
    let buffers = ["tmpfs", "zfs", "fuse", "fuseblk"].contains(&kind) || kind.starts_with("fuse.");
    match answer {
        Answer::Direct(None) if buffers => Answer::Buffered,
        other => other,
    }
}

fn finding(place: &str, kind: &str, answer: io::Result<Answer>) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return Finding::warn(
                format!("{place}: could not be tried, {}", errno(&error)),
                "see to it that a file can be made there, then run `preflight` again",
            );
        }
    };
    let checksums = CHECKSUMS.contains(&kind);
    let auto = match answer {
        Answer::Direct(_) if !checksums => Auto::None,
        Answer::Direct(_) | Answer::Buffered | Answer::Refused { .. } | Answer::Coarse(_) => Auto::Writeback,
    };
    let seen = match &answer {
        Answer::Direct(alignment) => {
            let alignment = alignment.map_or("not reported".into(), |bytes| format!("{bytes} bytes"));
            let but = if checksums { ", but checksums are kept of what is written" } else { "" };
            format!("direct (alignment {alignment}){but}")
        }
        Answer::Buffered => "accepted but buffered".to_owned(),
        Answer::Refused { at, error } => format!("refused ({} at {at})", errno(error)),
        Answer::Coarse(bytes) => format!("alignment {bytes} bytes, larger than a guest's sector of {SECTOR}"),
    };
    let seen = format!("{place}: {seen}; cache mode `auto` becomes `{}`", auto.word());
    match auto {
        Auto::None => Finding::pass(seen),
        Auto::Writeback => Finding::warn(
            seen,
            "know that disks there go through the host's page cache, or add a storage on another file system; a release without \
             the setting `vm.cacheMode` needs one",
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
    fn every_answer_says_what_auto_becomes() {
        let error = || io::Error::from_raw_os_error(Errno::INVAL.raw_os_error());
        for (answer, kind, state, words) in [
            (
                Answer::Direct(Some(512)),
                "ext4",
                State::Pass,
                "direct (alignment 512 bytes); cache mode `auto` becomes `none`",
            ),
            (
                Answer::Direct(None),
                "xfs",
                State::Pass,
                "direct (alignment not reported); cache mode `auto` becomes `none`",
            ),
            (
                Answer::Direct(None),
                "tmpfs",
                State::Warn,
                "accepted but buffered; cache mode `auto` becomes `writeback`",
            ),
            (
                Answer::Direct(None),
                "fuse.x",
                State::Warn,
                "accepted but buffered; cache mode `auto` becomes `writeback`",
            ),
            (
                Answer::Direct(Some(512)),
                "btrfs",
                State::Warn,
                "but checksums are kept of what is written; cache mode `auto` becomes `writeback`",
            ),
            (
                Answer::Buffered,
                "ext4",
                State::Warn,
                "accepted but buffered; cache mode `auto` becomes `writeback`",
            ),
            (
                Answer::Refused { at: "open", error: error() },
                "ramfs",
                State::Warn,
                "refused (EINVAL at open); cache mode `auto` becomes `writeback`",
            ),
            (
                Answer::Coarse(4096),
                "xfs",
                State::Warn,
                "alignment 4096 bytes, larger than a guest's sector of 512; cache mode `auto` becomes `writeback`",
            ),
        ] {
            let finding = finding("`/v` (x)", kind, Ok(known(answer, kind)));
            assert!(finding.evidence.ends_with(words), "{}", finding.evidence);
            assert_eq!((finding.state, finding.remedy.is_some()), (state, state == State::Warn), "{words}");
        }
        assert_eq!(finding("`/v`", "ext4", Err(io::ErrorKind::StorageFull.into())).state, State::Warn);
    }
}
