//! Reading and writing files below a foreign root. Links are followed as that root's own processes would: an
//! absolute one, such as /var/run, must not lead to this machine's files.

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fchmod, mkdirat, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The root folder that paths are taken below.
#[derive(Debug)]
pub(crate) struct Tree(OwnedFd);

impl Tree {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map(Self)
            .with_context(|| format!("cannot open the tree `{}`", root.display()))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.at(path, OFlags::RDONLY, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|fd| File::from(fd).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read `{}` inside", path.display()))?;
        Ok(bytes)
    }

    /// Creates or replaces a file, and the folders on the way; its mode is `mode` whatever the umask.
    pub(crate) fn write(&self, path: &Path, mode: u32, content: &mut dyn Read) -> Result<()> {
        let what = || format!("cannot write `{}` inside", path.display());
        let Some(parent) = path.parent() else { bail!("cannot write `{}` inside: a folder", path.display()) };
        self.make_folders(parent).with_context(what)?;
        let mode = Mode::from_raw_mode(mode);
        let fd = self.at(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, mode).with_context(what)?;
        fchmod(fd.as_fd(), mode).with_context(what)?;
        let mut file = File::from(fd);
        io::copy(content, &mut file).and_then(|_| file.flush()).with_context(what)
    }

    fn make_folders(&self, path: &Path) -> rustix::io::Result<()> {
        let mut done = PathBuf::new();
        for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
            let parent = self.at(&done, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            done.push(part);
            match self.at(&done, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755))?,
                found => drop(found?),
            }
        }
        Ok(())
    }

    fn at(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(&self.0, path, flags | OFlags::CLOEXEC, mode, ResolveFlags::IN_ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn absolute_links_stay_inside_and_folders_are_made() {
        let dir = tempfile::tempdir().expect("folder");
        fs::create_dir_all(dir.path().join("var")).expect("var");
        fs::create_dir(dir.path().join("run")).expect("run");
        symlink("/run", dir.path().join("var/run")).expect("link");
        let tree = Tree::open(dir.path()).expect("tree");
        tree.write(Path::new("/var/run/new/deep/file"), 0o640, &mut &b"text"[..]).expect("write");
        let inside = dir.path().join("run/new/deep/file");
        assert_eq!(fs::read(&inside).expect("read"), b"text");
        assert_eq!(fs::metadata(&inside).expect("stat").permissions().mode() & 0o7777, 0o640);
        assert_eq!(tree.read(Path::new("/var/run/new/deep/file")).expect("read"), b"text");
        let error = tree.read(Path::new("/nowhere")).expect_err("nothing there").to_string();
        assert!(error.contains("`/nowhere`"), "{error}");
    }

    #[test]
    fn writing_replaces() {
        let dir = tempfile::tempdir().expect("folder");
        let tree = Tree::open(dir.path()).expect("tree");
        tree.write(Path::new("/file"), 0o644, &mut &b"a long text"[..]).expect("write");
        tree.write(Path::new("/file"), 0o755, &mut &b"short"[..]).expect("write");
        assert_eq!(tree.read(Path::new("file")).expect("read"), b"short");
    }
}
