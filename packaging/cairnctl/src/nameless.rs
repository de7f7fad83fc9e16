//! A file that has no name until it is whole, so that nothing is left of it when the program is killed. Where the file system
//! knows no such files (FAT, NFS) it has a hidden name until then, and goes when this is dropped.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags};

use crate::host;

/// The file, open for reading and writing.
pub struct Nameless {
    file: File,
    /// The name that it has against its will.
    hidden: Option<PathBuf>,
}

impl Nameless {
    /// An empty file on the file system of `place`, where it may get its name.
    pub fn beside(place: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let mut unnamed = options.clone();
        unnamed.custom_flags(OFlags::TMPFILE.bits().cast_signed());
        // It gets its name through /proc.
        if Path::new("/proc/self/fd").exists()
            && let Ok(file) = unnamed.open(folder_of(place))
        {
            return Ok(Self { file, hidden: None });
        }
        let hidden = host::beside(place);
        let file = options.create_new(true).open(&hidden)?;
        Ok(Self { file, hidden: Some(hidden) })
    }

    /// The file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it the name `place` and the mode of a program, replacing what is there, when all of it is on the disk.
    pub fn publish(mut self, place: &Path) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o755))?;
        self.file.sync_all()?;
        if self.hidden.is_none() {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |to: &Path| rustix::fs::linkat(CWD, &own, CWD, to, AtFlags::SYMLINK_FOLLOW);
            match link(place) {
                // Only a rename replaces what is there.
                Err(rustix::io::Errno::EXIST) => {
                    let hidden = host::beside(place);
                    link(&hidden)?;
                    self.hidden = Some(hidden);
                }
                linked => linked?,
            }
        }
        if let Some(hidden) = &self.hidden {
            fs::rename(hidden, place)?;
            self.hidden = None;
        }
        File::open(folder_of(place))?.sync_all()
    }

    /// The file alone, which is gone with its last descriptor.
    pub fn into_file(self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            let _ = fs::remove_file(hidden);
        }
    }
}

fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn it_is_not_there_until_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let place = folder.path().join("a file");
        for content in ["first", "second"] {
            let before = names();
            drop(Nameless::beside(&place).unwrap());
            let mut file = Nameless::beside(&place).unwrap();
            file.file().write_all(content.as_bytes()).unwrap();
            assert_eq!(names(), before);
            file.publish(&place).unwrap();
            assert_eq!((fs::read_to_string(&place).unwrap().as_str(), names()), (content, 1));
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }

    #[test]
    fn a_name_against_its_will_goes() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        let named = || {
            let hidden = host::beside(&place);
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&hidden).unwrap();
            Nameless { file, hidden: Some(hidden) }
        };
        drop(named());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut kept = named().into_file().unwrap();
        kept.write_all(b"text").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        named().publish(&place).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
