//! Whether files can be made where they have to go. A file is really made: an immutable folder, a quota and a security
//! module show in no flag. How much room there is lies in `storage.rs`.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;

use super::Subject;
use super::mounts;
use super::probe::{Probe, errno, is_no_room, nearest};
use super::report::Finding;

/// Makes a file in each folder that an installation writes to, or in the one above it that exists.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let layout = &subject.layout;
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in [layout.prefix(), layout.configuration(), layout.state(), layout.logs(), layout.units()] {
        let at = nearest(&folder);
        if !folders.contains(&at) {
            folders.push(at);
        }
    }
    let (mut taken, mut denied, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for at in folders {
        let shown = format!("`{}`", at.display());
        match take_a_file(&at) {
            Answer::Taken => taken.push(shown),
            Answer::Denied => denied.push(shown),
            Answer::Other(finding) => findings.push(finding),
        }
    }
    if !denied.is_empty() {
        // One line for all of them: this is what everybody sees who forgot to become root.
        findings.insert(
            0,
            Finding::fail(format!("no file can be made in {}: EACCES", denied.join(", ")), PERMISSIONS),
        );
    }
    if !taken.is_empty() {
        findings.insert(0, Finding::pass(format!("a file can be made in {}", taken.join(", "))));
    }
    findings
}

const PERMISSIONS: &str = "run it as root, and look at the folder's permissions and attributes (`lsattr -d`)";

enum Answer {
    Taken,
    /// EACCES.
    Denied,
    Other(Finding),
}

fn take_a_file(at: &Path) -> Answer {
    let read_only = statvfs(at).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        let point = mounts::of(at).map_or_else(|| at.to_owned(), |mount| mount.point);
        return Answer::Other(Finding::fail(
            format!("{} is mounted read-only", mounts::described(at)),
            format!(
                "run `mount --options remount,rw {}`, or install elsewhere with `--root`",
                point.display()
            ),
        ));
    }
    let Err(error) = Probe::create(at, 0o600) else { return Answer::Taken };
    if Errno::from_io_error(&error) == Some(Errno::ACCESS) {
        return Answer::Denied;
    }
    let seen = format!("no file can be made in {}: {}", mounts::described(at), errno(&error));
    Answer::Other(if is_no_room(&error) {
        Finding::no_room(seen, "make room, or raise the quota")
    } else {
        Finding::fail(seen, remedy_for(at, &error))
    })
}

/// What to do about a folder that cannot be used, given the error.
pub(super) fn remedy_for(at: &Path, error: &io::Error) -> String {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    if matches!(error.kind(), NotFound | NotADirectory) {
        format!("make `{}` a folder, or a symbolic link to one that exists", at.display())
    } else {
        PERMISSIONS.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn making_a_file_is_tried_and_leaves_none() {
        let root = tempfile::tempdir().unwrap();
        let mut subject = subject(root.path());
        assert_eq!(check(&subject)[0].state, State::Pass);
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
        std::os::unix::fs::symlink("/nowhere/at/all", root.path().join("opt")).unwrap();
        let findings = check(&subject);
        assert_eq!((findings[0].state, findings[1].state), (State::Pass, State::Fail));
        assert!(findings[1].evidence.contains("ENOENT"), "{}", findings[1].evidence);
        subject.layout = crate::layout::Layout::new("/proc");
        assert!(check(&subject).iter().all(|finding| finding.state == State::Fail));
    }
}
