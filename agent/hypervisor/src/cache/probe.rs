//! One look at a folder: does its file system take O_DIRECT? A file is made there, written once past the page cache, and
//! removed on every way out.
//!
//! The kernel has no answer that could be trusted unasked: file systems that refuse O_DIRECT do so when a file is opened
//! (ramfs) or written (some that are stacked), and one type can do either, as it is set up.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::{Errno, pwrite};
use uuid::Uuid;

use super::Answer;
use crate::error::Error;
use crate::mounts;

/// What the name of such a file begins with. By it the next look finds what a killed agent left.
pub(crate) const PREFIX: &str = ".cairn-probe-";

/// What is written: a whole sector, also of a disk whose sectors are large, from a buffer at a boundary of that size.
const BYTES: usize = 4096;

/// How long a file system has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the file system of the folder of `file` takes O_DIRECT. If `file` is a link, that of what it leads to.
///
/// # Errors
/// [`Error::NoVolume`] if there is no such folder, [`Error::NoSpace`], or what else kept the file from being written.
pub(crate) async fn look(file: &Path) -> Result<Answer, Error> {
    let owned = file.to_owned();
    let looked = tokio::task::spawn_blocking(move || at(&owned));
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(ended)) => Err(unanswered(file, &io::Error::other(ended))),
        // A network file system whose server is away keeps everyone waiting who touches it.
        Err(_) => Err(Error::Failed {
            what: asking(file),
            cause: format!("no answer within {} seconds", PATIENCE.as_secs()),
            remedy: "check the file system; one from the network may have lost its server".to_owned(),
        }),
    }
}

fn asking(file: &Path) -> String {
    format!("find out whether the file system of `{}` takes O_DIRECT", file.display())
}

fn unanswered(file: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NoVolume { path: file.to_owned() },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::NoSpace { path: file.to_owned(), cause: error.to_string() }
        }
        _ => Error::Failed {
            what: asking(file),
            cause: error.to_string(),
            remedy: "look at its folder and the permissions there, or ask for `writeback`, which need not be known"
                .to_owned(),
        },
    }
}

fn at(file: &Path) -> Result<Answer, Error> {
    let failed = |error: io::Error| unanswered(file, &error);
    let folder = folder_of(file).map_err(failed)?;
    let mount = mounts::of(&folder).map_err(failed)?;
    let (mount, file_system) = match mount {
        Some(mount) => (mount.point, mount.file_system),
        None => (folder.clone(), "an unknown file system".to_owned()),
    };
    let refusal = refusal(&folder).map_err(|errno| failed(errno.into()))?;
    // Without its number, which says nothing to people.
    let refusal =
        refusal.map(|errno| errno.to_string().split(" (os error").next().unwrap_or_default().to_owned());
    Ok(Answer { folder, mount, file_system, refusal })
}

/// The folder that a file lies in, without links. The file itself may be missing.
fn folder_of(file: &Path) -> io::Result<PathBuf> {
    let real = match file.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return file.parent().unwrap_or(file).canonicalize();
        }
        real => real?,
    };
    Ok(real.parent().unwrap_or(&real).to_owned())
}

/// How the kernel refuses O_DIRECT in a folder; None if it does not.
fn refusal(folder: &Path) -> Result<Option<Errno>, Errno> {
    clear(folder);
    let trial = Trial::make(folder)?;
    let refused = match trial.write() {
        Ok(()) => None,
        Err(errno @ (Errno::INVAL | Errno::OPNOTSUPP)) => Some(errno),
        Err(errno) => return Err(errno),
    };
    Ok(refused)
}

/// A file of its own, which goes when this does.
struct Trial {
    path: PathBuf,
    file: OwnedFd,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What stays is removed by the next look.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Memory at a boundary of its size, as O_DIRECT wants it.
#[repr(align(4096))]
struct Sector([u8; BYTES]);

impl Trial {
    /// Made without O_DIRECT: ramfs refuses to make a file with it, and leaves the file behind all the same.
    fn make(folder: &Path) -> Result<Self, Errno> {
        let path = folder.join(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        let trial = Self { path, file };
        // Tells others that somebody is at it. Where locks are not known, nobody clears either.
        let _ = flock(&trial.file, FlockOperation::NonBlockingLockExclusive);
        Ok(trial)
    }

    /// Opens it anew as QEMU would, and writes to it.
    fn write(&self) -> Result<(), Errno> {
        // By its descriptor: the file is the same one whatever becomes of its name.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let direct = open(path, OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty())?;
        let sector = Box::new(Sector([0; BYTES]));
        match pwrite(&direct, &sector.0, 0)? {
            BYTES => Ok(()),
            // Less is written only where there is no room for more.
            _ => Err(Errno::NOSPC),
        }
    }
}

/// Removes what looks that ended in their middle left. That it cannot is no reason not to look.
fn clear(folder: &Path) {
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
    use crate::error::Kind;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_look_leaves_nothing_and_clears_what_others_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.raw");
        std::fs::write(folder.path().join(format!("{PREFIX}left")), "").unwrap();
        let busy = Trial::make(folder.path()).unwrap();
        let answer = at(&file).unwrap();
        assert_eq!(answer.folder, folder.path().canonicalize().unwrap());
        assert!(answer.folder.starts_with(&answer.mount), "{answer:?}");
        let left = busy.path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(folder.path()), [left], "what is in use stays, and nothing else");
        drop(busy);
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, file) = (here.path().join("a"), there.path().join("b"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(at(&link).unwrap().folder, there.path().canonicalize().unwrap());
    }

    #[test]
    fn what_keeps_it_from_looking_is_told_and_nothing_guessed() {
        let error = at(Path::new("/missing/folder/a.raw")).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        let folder = tempfile::tempdir().unwrap();
        let (file, below) = (folder.path().join("file"), folder.path().join("file/a.raw"));
        std::fs::write(&file, "").unwrap();
        let error = at(&below).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed, "{error}");
        let asked =
            format!("cannot find out whether the file system of `{}` takes O_DIRECT: ", below.display());
        assert!(error.to_string().starts_with(&asked), "{error}");
    }
}
