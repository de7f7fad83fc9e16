//! Measuring a folder. It may take as long as the file system likes: [`crate::cache`] has a thread for that.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, fsync, ioctl_ficlone, statvfs};
use rustix::io::{Errno, pwrite};

use super::{Flush, Latency, Survey};
use crate::cache::Layer;
use crate::cache::evidence::{PAGE_BYTES, Tried};
use crate::cache::left::Notes;
use crate::cache::own::Own;

/// How often is flushed at most.
const SAMPLES: usize = 64;

/// How long is flushed at most; the one that is under way then is waited for.
const ENOUGH: Duration = Duration::from_secs(2);

/// Measures `folder`, of which is known what O_DIRECT is worth there.
///
/// # Errors
/// What keeps a file from being made. That there is no room does not: it stands in what is told.
pub(crate) fn measure(folder: &Path, layer: Layer, notes: &Notes) -> Result<Survey, Errno> {
    let size = statvfs(folder)?;
    let mut survey = Survey {
        path: folder.to_owned(),
        layer,
        capacity_bytes: size.f_blocks.saturating_mul(size.f_frsize),
        available_bytes: size.f_bavail.saturating_mul(size.f_frsize),
        inodes: size.f_files,
        free_inodes: size.f_favail,
        flush: Flush::Failed(Errno::NOSPC),
        hole_punching: Tried::Not,
        reflink: Tried::Not,
    };
    // With names: a file system may spare itself the flush of a file that nobody can find.
    let (file, copy) = match (Own::named(folder, notes), Own::named(folder, notes)) {
        (Ok(file), Ok(copy)) => (file, copy),
        (Err(Errno::NOSPC | Errno::DQUOT), _) | (_, Err(Errno::NOSPC | Errno::DQUOT)) => return Ok(survey),
        (Err(errno), _) | (_, Err(errno)) => return Err(errno),
    };
    survey.flush = match flushes(&file) {
        Ok(latency) => Flush::Sampled(latency),
        Err(errno) => Flush::Failed(errno),
    };
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    survey.hole_punching = tried(fallocate(file.file.as_fd(), punch, 0, u64::from(PAGE_BYTES)));
    survey.reflink = tried(ioctl_ficlone(copy.file.as_fd(), file.file.as_fd()));
    Ok(survey)
}

fn tried(done: Result<(), Errno>) -> Tried {
    match done {
        Ok(()) => Tried::Worked,
        Err(errno) => Tried::Failed(errno),
    }
}

/// Adds to a file and flushes it, again and again.
fn flushes(own: &Own) -> Result<Latency, Errno> {
    let (page, began) = ([0x5a; PAGE_BYTES as usize], Instant::now());
    let mut samples = Vec::with_capacity(SAMPLES);
    let mut at = 0;
    while samples.len() < SAMPLES && (samples.is_empty() || began.elapsed() < ENOUGH) {
        let written = pwrite(&own.file, &page, at)?;
        if written < page.len() {
            // Less is written only where there is no room for more.
            return Err(Errno::NOSPC);
        }
        let before = Instant::now();
        fsync(&own.file)?;
        samples.push(before.elapsed());
        at += u64::from(PAGE_BYTES);
    }
    Latency::of(samples).ok_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::evidence::{Answer, By, Evidence};

    #[test]
    fn a_folder_is_measured_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence {
            mount: "/".into(),
            file_system: "ext4".to_owned(),
            device: "0:0".to_owned(),
            statx: None,
            open: Tried::Worked,
            by: By::Writing,
            sector: Tried::Worked,
            page: Tried::Worked,
        };
        let path = folder.path().to_owned();
        let layer = Layer { path: path.clone(), folder: path.clone(), evidence, answer: Answer::Direct };
        let survey = measure(&path, layer, &Notes::new(None)).unwrap();
        let Flush::Sampled(latency) = survey.flush else { panic!("{survey:?}") };
        assert!((1..=SAMPLES).contains(&latency.samples), "{latency}");
        assert!(latency.median <= latency.percentile_99);
        assert!(survey.available_bytes <= survey.capacity_bytes && survey.free_inodes <= survey.inodes);
        assert!(survey.hole_punching != Tried::Not && survey.reflink != Tried::Not);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        let error = measure(&path.join("missing"), survey.layer, &Notes::new(None)).unwrap_err();
        assert_eq!(error, Errno::NOENT);
    }
}
