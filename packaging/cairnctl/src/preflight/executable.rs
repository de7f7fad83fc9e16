//! Whether programs run from where they will lie: below the prefix, and in a scratch folder for the time of an
//! installation. A script is really run, since a flag of the mount is only one of the things that can forbid it.

use std::env;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::Subject;
use super::mounts;
use super::probe::{Trial, errno, is_no_room, nearest, run_from};
use super::report::Finding;

/// Folders in which a helper may be put, best first: what the operator says, those of the host, this one.
pub(super) fn scratch_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let said = env::var_os("TMPDIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let here = env::current_dir().ok();
    for folder in said.into_iter().chain(["/var/tmp", "/tmp"].map(PathBuf::from)).chain(here) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Whether programs run from the prefix.
pub(super) fn prefix(subject: &Subject) -> Vec<Finding> {
    let at = nearest(&subject.layout.prefix());
    vec![prefix_finding(&at, is_noexec(&at), run_from(&at))]
}

fn prefix_finding(at: &Path, noexec: bool, trial: Trial) -> Finding {
    let place = mounts::described(at);
    let point = mounts::of(at).map_or_else(|| at.to_owned(), |mount| mount.point);
    match (trial, noexec) {
        (Trial::Runs, false) => Finding::pass(format!("a program runs from {place}")),
        // Root can be let through by a container that does not enforce what it shows. Services would not be.
        (Trial::Runs, true) => Finding::warn(
            format!("a program runs from {place}, although it is mounted `noexec`"),
            format!("run `mount --options remount,exec {}`", point.display()),
        ),
        (Trial::Refused(_) | Trial::NotTried(_), true) => Finding::fail(
            format!("{place} is mounted `noexec`"),
            format!(
                "run `mount --options remount,exec {}`, or install elsewhere with `--root`",
                point.display()
            ),
        ),
        (Trial::Refused(error), false) => Finding::fail(
            format!("no program runs from {place}: {error}"),
            "allow it in the security module that forbids it, or install elsewhere with `--root`",
        ),
        (Trial::NotTried(error), false) => Finding::warn(
            format!("no file could be made in {place} to try it: {}", errno(&error)),
            "see to it that a file can be made there, then run `preflight` again",
        ),
    }
}

fn is_noexec(at: &Path) -> bool {
    statvfs(at).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// Whether there is a folder that a helper can run from.
pub(super) fn scratch(subject: &Subject) -> Vec<Finding> {
    vec![scratch_finding(subject.scratch.iter().map(|folder| (folder.as_path(), run_from(folder))))]
}

fn scratch_finding<'a>(tried: impl Iterator<Item = (&'a Path, Trial)>) -> Finding {
    let (mut seen, mut some, mut only_room_lacks) = (Vec::new(), false, true);
    for (folder, trial) in tried {
        let answer = match trial {
            Trial::Runs => {
                some = true;
                "runs programs".to_owned()
            }
            Trial::Refused(error) => {
                only_room_lacks = false;
                format!("runs none ({error})")
            }
            Trial::NotTried(error) => {
                only_room_lacks &= is_no_room(&error);
                format!("takes no file ({})", errno(&error))
            }
        };
        seen.push(format!("`{}` {answer}", folder.display()));
    }
    let seen = seen.join(", ");
    if some {
        Finding::pass(seen)
    } else if only_room_lacks {
        Finding::no_room(seen, "make room in one of them, or set `TMPDIR` to a folder with room")
    } else {
        Finding::fail(seen, "set `TMPDIR` to a folder on a file system that is not mounted `noexec`")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::report::State;
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn a_script_is_run_from_the_prefix() {
        let root = tempfile::tempdir().unwrap();
        let findings = prefix(&subject(root.path()));
        assert_eq!(findings[0].state, State::Pass, "{}", findings[0].evidence);
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn each_way_to_fail_is_told_apart() {
        let at = Path::new("/");
        let refused = || Trial::Refused("EACCES".into());
        let noexec = prefix_finding(at, true, refused());
        assert_eq!((noexec.state, noexec.remedy.unwrap().contains("remount,exec /`")), (State::Fail, true));
        assert!(prefix_finding(at, false, refused()).evidence.contains("EACCES"));
        assert_eq!(prefix_finding(at, true, Trial::Runs).state, State::Warn);
        let not_tried = Trial::NotTried(io::ErrorKind::PermissionDenied.into());
        assert_eq!(prefix_finding(at, false, not_tried).state, State::Warn);
    }

    #[test]
    fn one_scratch_folder_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let mut subject = subject(folder.path());
        subject.scratch = vec![PathBuf::from("/proc"), folder.path().to_owned()];
        assert_eq!(scratch(&subject)[0].state, State::Pass);
        subject.scratch.pop();
        let failed = &scratch(&subject)[0];
        assert_eq!(failed.state, State::Fail);
        assert!(failed.evidence.starts_with("`/proc` takes no file ("), "{}", failed.evidence);
    }
}
