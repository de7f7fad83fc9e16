//! How QEMU really has a file open: the flags of its descriptors, from `/proc/PID/fdinfo` (proc(5)). QEMU's monitor could
//! tell too, but one command through it marks the domain as tainted for the rest of its life.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// `O_DIRECT` on x86_64, as fcntl.h has it.
const O_DIRECT: u32 = 0o40000;

/// Where processes are found.
#[derive(Debug, Clone)]
pub struct Source {
    /// `/proc`.
    pub proc: PathBuf,
    /// Where libvirt writes `NAME.pid`.
    pub pid_folder: PathBuf,
}

/// The files that a QEMU process has open.
#[derive(Debug)]
pub struct OpenFiles {
    found: Result<(u32, Vec<Open>), String>,
}

/// A descriptor.
#[derive(Debug)]
struct Open {
    target: PathBuf,
    direct: bool,
    /// The link in `/proc`, through which the open file itself is reached, whatever its name means by now.
    descriptor: PathBuf,
}

fn told(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("`{}`: {error}", path.display())
}

impl Source {
    /// Looks at the process of the domain `name`. What cannot be seen is told when it is asked for.
    #[must_use]
    pub fn open_files(&self, name: &str, uuid: Uuid) -> OpenFiles {
        OpenFiles { found: self.find(name, uuid) }
    }

    /// The words that the process of the domain `name` was started with.
    ///
    /// # Errors
    /// Why they cannot be seen.
    pub fn command_line(&self, name: &str, uuid: Uuid) -> Result<Vec<String>, String> {
        let (_, words) = self.process(name, uuid)?;
        Ok(words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    fn process(&self, name: &str, uuid: Uuid) -> Result<(u32, Vec<u8>), String> {
        let pid_file = self.pid_folder.join(format!("{name}.pid"));
        let text = fs::read_to_string(&pid_file).map_err(|error| told(&pid_file, &error))?;
        let pid: u32 = text.trim().parse().map_err(|error| told(&pid_file, &error))?;
        let command_line = self.proc.join(pid.to_string()).join("cmdline");
        let words = fs::read(&command_line).map_err(|error| told(&command_line, &error))?;
        // The number may belong to another process by now.
        let uuid = uuid.to_string();
        if !words.split(|byte| *byte == 0).any(|word| word == uuid.as_bytes()) {
            return Err(told(&pid_file, &format!("process {pid} does not run this domain")));
        }
        Ok((pid, words))
    }

    fn find(&self, name: &str, uuid: Uuid) -> Result<(u32, Vec<Open>), String> {
        let (pid, _) = self.process(name, uuid)?;
        let process = self.proc.join(pid.to_string());
        let folder = process.join("fd");
        let entries = fs::read_dir(&folder).map_err(|error| told(&folder, &error))?;
        let mut open = Vec::new();
        for entry in entries.flatten() {
            // Only the link's text is read: the file may lie on a file system that hangs.
            let target = match fs::read_link(entry.path()) {
                Ok(target) => target,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(told(&entry.path(), &format!("{error}; it takes CAP_SYS_PTRACE")));
                }
                // It was closed meanwhile.
                Err(_) => continue,
            };
            let info = fs::read_to_string(process.join("fdinfo").join(entry.file_name()));
            if let Some(flags) = info.ok().and_then(|info| flags(&info)) {
                open.push(Open { target, direct: flags & O_DIRECT != 0, descriptor: entry.path() });
            }
        }
        Ok((pid, open))
    }
}

impl OpenFiles {
    /// Whether `path`, as the kernel names it, is open with O_DIRECT, and who has it open or why that could not be seen.
    #[must_use]
    pub fn direct(&self, path: &Path) -> (Option<bool>, String) {
        let (pid, open) = match &self.found {
            Ok(found) => found,
            Err(why) => return (None, why.clone()),
        };
        let mut flags = open.iter().filter(|one| one.target == path).map(|one| one.direct).peekable();
        if flags.peek().is_none() {
            return (None, format!("process {pid} has no descriptor of `{}`", path.display()));
        }
        // While a mode is being changed there are two. The weaker one is true of some of the guest's writes.
        (Some(flags.all(|direct| direct)), format!("QEMU (process {pid})"))
    }

    /// Whether what `path`, as the kernel names it, means now is what is open under that name. Waits for the file system.
    ///
    /// # Errors
    /// If it is another file, or that cannot be seen.
    pub fn is_still(&self, path: &Path) -> Result<(), String> {
        let (pid, open) = self.found.as_ref().map_err(Clone::clone)?;
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).map_err(|error| told(path, &error))?;
            Ok::<_, String>((metadata.dev(), metadata.ino()))
        };
        let open = open.iter().find(|one| one.target == path);
        let open = open.ok_or_else(|| format!("process {pid} has no descriptor of `{}`", path.display()))?;
        if identity(&open.descriptor)? != identity(path)? {
            return Err(format!(
                "`{}` is another file than the one that process {pid} has open",
                path.display()
            ));
        }
        Ok(())
    }
}

/// The flags line of `fdinfo`, which is octal.
fn flags(info: &str) -> Option<u32> {
    let octal = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(octal.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: Uuid = Uuid::from_u128(7);

    fn process(folder: &Path, command_line: &str) -> Source {
        let process = folder.join("proc/42");
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::create_dir_all(process.join("fdinfo")).unwrap();
        fs::write(process.join("cmdline"), command_line).unwrap();
        fs::write(folder.join("vm.pid"), "42\n").unwrap();
        for (fd, target, flags) in
            [("3", "/a.qcow2", "02140002"), ("4", "/b.qcow2", "02100002"), ("5", "/c", "x")]
        {
            std::os::unix::fs::symlink(target, process.join("fd").join(fd)).unwrap();
            fs::write(process.join("fdinfo").join(fd), format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t1\n"))
                .unwrap();
        }
        Source { proc: folder.join("proc"), pid_folder: folder.to_owned() }
    }

    #[test]
    fn the_flags_of_each_file_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let open = process(folder.path(), &format!("qemu\0-uuid\0{UUID}\0")).open_files("vm", UUID);
        assert_eq!(open.direct(Path::new("/a.qcow2")), (Some(true), "QEMU (process 42)".to_owned()));
        assert_eq!(open.direct(Path::new("/b.qcow2")).0, Some(false));
        let (direct, why) = open.direct(Path::new("/c"));
        assert_eq!((direct, why.as_str()), (None, "process 42 has no descriptor of `/c`"));
    }

    #[test]
    fn a_process_that_is_not_the_domains_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let source = process(folder.path(), "another\0program\0");
        let (direct, why) = source.open_files("vm", UUID).direct(Path::new("/a.qcow2"));
        assert_eq!(direct, None);
        assert!(why.ends_with("process 42 does not run this domain"), "{why}");
        let (_, why) = source.open_files("other", UUID).direct(Path::new("/a.qcow2"));
        assert!(why.contains("other.pid`: No such file"), "{why}");
    }

    #[test]
    fn the_flag_is_that_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let flags_of = |direct: bool| {
            use std::os::fd::AsRawFd;
            use std::os::unix::fs::OpenOptionsExt;
            let mut options = fs::OpenOptions::new();
            options.read(true);
            if direct {
                options.custom_flags(i32::try_from(O_DIRECT).unwrap());
            }
            let file = options.open(&path).unwrap();
            flags(&fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap()).unwrap()
        };
        assert_eq!(flags_of(true) & !flags_of(false), O_DIRECT);
    }
}
