//! What the checks touch a host with: a file that goes away by itself, a program that may not hang, and names for the
//! errors they get. What is learnt from it is said in the checks.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// How long a program may run. Shorter than a check may take, so that it is killed before its check is given up.
const PROGRAM_BOUND: Duration = Duration::from_secs(5);

/// A file of ours, removed when this is dropped.
pub(super) struct Probe {
    path: PathBuf,
}

impl Probe {
    /// Creates an empty file in `folder` that nobody else has, with these permissions, open for reading and writing.
    pub(super) fn create(folder: &Path, mode: u32) -> io::Result<(Self, File)> {
        // The keys of a hash map are random, which is all that a name needs: creation is exclusive.
        let name = format!(".cairn-preflight-{:016x}", RandomState::new().build_hasher().finish());
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&path)?;
        Ok((Self { path }, file))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The nearest folder that exists: `path` itself, or one above it. A symbolic link to nowhere counts as existing, so that
/// what is done in it fails and tells.
pub(super) fn nearest(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    found.unwrap_or(Path::new(".")).to_owned()
}

/// Whether a program can be run from a folder.
pub(super) enum Trial {
    /// It ran.
    Runs,
    /// It was put there, and did not run.
    Refused(String),
    /// No file could be put there.
    NotTried(io::Error),
}

/// Puts a script into `folder` and runs it. A mount flag says less: a security module or a container can forbid it too.
pub(super) fn run_from(folder: &Path) -> Trial {
    let (probe, mut file) = match Probe::create(folder, 0o700) {
        Ok(made) => made,
        Err(error) => return Trial::NotTried(error),
    };
    if let Err(error) = file.write_all(b"#!/bin/sh\nexit 0\n") {
        return Trial::NotTried(error);
    }
    drop(file);
    // While another thread starts a program, its child holds our file open for writing until it execs.
    for _ in 0..20 {
        match finish(&mut Command::new(probe.path())) {
            Ok((status, _)) if status.success() => return Trial::Runs,
            Ok((status, _)) => return Trial::Refused(status.to_string()),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TXTBSY) => {
                sleep(Duration::from_millis(25));
            }
            Err(error) => return Trial::Refused(errno(&error)),
        }
    }
    Trial::Refused("ETXTBSY".into())
}

/// The first line that `program` prints. It gets no input and the C locale, and is killed when it takes too long.
pub(super) fn first_line(program: &Path, arguments: &[&str]) -> io::Result<String> {
    let (status, output) = finish(Command::new(program).args(arguments).env("LC_ALL", "C"))?;
    if !status.success() {
        return Err(io::Error::other(format!("`{}` ended with {status}", program.display())));
    }
    Ok(output.lines().next().unwrap_or_default().trim().to_owned())
}

/// Runs to the end, or kills at [`PROGRAM_BOUND`]. Reads what fits in a pipe: a program that says more is not asked here.
fn finish(command: &mut Command) -> io::Result<(ExitStatus, String)> {
    let deadline = Instant::now() + PROGRAM_BOUND;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    let mut output = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(64 * 1024).read_to_end(&mut output)?;
    }
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// An executable file with one of these names, in the folders of `PATH` and where distributions keep programs.
pub(super) fn program(names: &[&str]) -> Option<PathBuf> {
    let usual =
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/libexec"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).filter(|f| f.is_absolute()).chain(usual.map(PathBuf::from)).collect();
    let mut files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The C name of an error, such as `EINVAL`, or its text where it has none here.
pub(super) fn errno(error: &io::Error) -> String {
    let names = [
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::IO, "EIO"),
        (Errno::NXIO, "ENXIO"),
        (Errno::NOEXEC, "ENOEXEC"),
        (Errno::ACCESS, "EACCES"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::TXTBSY, "ETXTBSY"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::ROFS, "EROFS"),
        (Errno::LOOP, "ELOOP"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
        (Errno::ADDRINUSE, "EADDRINUSE"),
        (Errno::CONNREFUSED, "ECONNREFUSED"),
        (Errno::STALE, "ESTALE"),
        (Errno::DQUOT, "EDQUOT"),
    ];
    let found = Errno::from_io_error(error).and_then(|code| names.iter().find(|(known, _)| *known == code));
    found.map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}

/// Whether an error means that bytes or inodes ran out.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (probe, _file) = Probe::create(folder.path(), 0o600).unwrap();
        assert!(probe.path().exists());
        drop(probe);
        assert!(matches!(run_from(folder.path()), Trial::Runs));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_nearest_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&folder.path().join("a/b/c")), folder.path());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/nowhere/at/all", &link).unwrap();
        assert_eq!(nearest(&link.join("x")), link);
        assert!(matches!(run_from(&link), Trial::NotTried(error) if errno(&error) == "ENOENT"));
        assert_eq!(nearest(Path::new("not-here/x")), Path::new("."));
    }

    #[test]
    fn a_program_is_found_and_asked() {
        let shell = program(&["not-a-program-at-all", "sh"]).unwrap();
        assert_eq!(first_line(&shell, &["-c", "echo ' one '; echo two"]).unwrap(), "one");
        assert!(first_line(&shell, &["-c", "exit 3"]).unwrap_err().to_string().contains("exit status: 3"));
    }
}
