//! Small deeds on a host's files, each saying what it did to which path when it fails.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Makes a folder and those above it, readable by everybody, and returns those that were not there, outermost first.
pub fn make_folders(path: &Path) -> Result<Vec<PathBuf>> {
    let missing = missing_folders(path);
    for folder in &missing {
        make_folder(folder, 0o755)?;
    }
    Ok(missing)
}

/// Which of a folder and those above it are not there, outermost first.
pub fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|ancestor| fs::symlink_metadata(ancestor).is_err());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Makes one folder with this mode, whatever the umask.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot create `{}`", path.display()))?;
    set_mode(path, mode)?;
    Ok(sync_folder_of(path)?)
}

/// Sees that the name `path` is on the disk, and not only what it names.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Sees that a folder with all that is in it is on the disk.
pub fn sync_tree(folder: &Path) -> Result<()> {
    for path in tree(folder) {
        if path.is_symlink() {
            continue;
        }
        let sync = File::open(&path).and_then(|file| file.sync_all());
        sync.with_context(|| format!("cannot write `{}` to the disk", path.display()))?;
    }
    Ok(())
}

/// Sets permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of `{}`", path.display()))
}

/// Puts a file in place whole or not at all: written beside, synced, renamed.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let beside = beside(path);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder_of(path)
    };
    write().with_context(|| format!("cannot write `{}`", path.display())).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Points the symbolic link `path` at `target` by rename, so that it is never absent.
pub fn link_whole(path: &Path, target: &Path) -> Result<()> {
    let beside = beside(path);
    let link = || -> io::Result<()> {
        std::os::unix::fs::symlink(target, &beside)?;
        fs::rename(&beside, path)?;
        sync_folder_of(path)
    };
    link()
        .with_context(|| format!("cannot point `{}` at `{}`", path.display(), target.display()))
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
}

/// Renames a file, link or folder.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .and_then(|()| sync_folder_of(to))
        .with_context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))
}

/// Keeps what is at `path`, if there is anything, under the name of [`aside`], so that something else can take its place.
/// A file keeps its name until then.
pub fn put_aside(path: &Path) -> Result<()> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    let aside = aside(path);
    if metadata.is_file() && fs::hard_link(path, &aside).is_ok() {
        return Ok(sync_folder_of(path)?);
    }
    rename(path, &aside)
}

/// A name beside `path` that nothing else uses: hidden, with our process id.
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{BESIDE}{}", std::process::id()))
}

/// Another such name, for what is kept until it is sure that it can go.
pub fn aside(path: &Path) -> PathBuf {
    beside(path).with_added_extension("old")
}

const BESIDE: &str = ".cairn-";

/// A folder of this run alone, which goes away again.
pub struct Passing(PathBuf);

impl Passing {
    /// Makes it. What was left of an earlier one goes.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(path: PathBuf) -> Result<Self> {
        remove_tree(&path)?;
        make_folder(&path, 0o700)?;
        Ok(Self(path))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = remove_tree(&self.0);
    }
}

/// Whether a path has such a name.
pub fn is_passing(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix('.')?.rsplit_once(BESIDE));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.is_some_and(|(_, number)| is_number(number.trim_end_matches(".old")))
}

/// Removes what runs that were killed have left in `folder` under the names of [`beside`] and [`aside`]. The caller
/// holds the lock, so that nobody works with them.
pub fn sweep(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if is_passing(&entry.path()) {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Everything below a folder, itself included, a folder before what is in it.
pub fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut next) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(path) = next.pop() {
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            next.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        found.insert(path);
    }
    found
}

/// Whether the file system that `path` lies on has no bytes or no inodes left for anybody.
pub fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| {
        (disk.f_blocks > 0 && disk.f_bavail == 0) || (disk.f_files > 0 && disk.f_favail == 0)
    })
}

/// SHA-256 of a file's content, as hexadecimal digits.
pub fn sha256_of(path: &Path) -> Result<String> {
    let read = || -> io::Result<String> {
        let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer)? {
                0 => break Ok(digits(&hash.finalize())),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    read().with_context(|| format!("cannot read `{}`", path.display()))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes a file or an empty folder. That it is gone already is as good.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    tolerate(removed).with_context(|| format!("cannot remove `{}`", path.display()))?;
    let _ = sync_folder_of(path);
    Ok(())
}

/// Removes a folder and everything in it, or a file. That it is gone already is as good.
pub fn remove_tree(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return remove(path);
    }
    tolerate(fs::remove_dir_all(path)).with_context(|| format!("cannot remove `{}`", path.display()))?;
    let _ = sync_folder_of(path);
    Ok(())
}

/// Whether the folder is there and holds nothing.
pub fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// What is gone is removed, and a file system that is mounted at a folder keeps the folder: it is empty then.
fn tolerate(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) => Ok(()),
        other => other,
    }
}

/// Holds the root's lock until dropped.
pub struct Lock(#[allow(dead_code, reason = "the descriptor is the lock")] File);

/// Keeps a second run out. The lock is the root folder itself, so that nothing is left behind.
///
/// # Errors
/// Exit code 5 while another run holds it.
pub fn lock(root: &Path) -> Result<Lock> {
    let folder = File::open(root).with_context(|| format!("cannot open `{}`", root.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(Lock(folder)),
        Err(fs::TryLockError::WouldBlock) => {
            let owner = owner(&folder).map(|owner| format!(" ({owner})")).unwrap_or_default();
            let sentence = format!(
                "another installation or removal{owner} is at work in `{}`; wait for it to end",
                root.display()
            );
            Err(crate::exit::Exit::error(crate::exit::Code::Locked, sentence))
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", root.display()))
        }
    }
}

/// Which process holds the lock on the folder, and what was typed to start it.
pub fn owner(folder: &File) -> Option<String> {
    let inode = format!(":{} ", folder.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:264 0 EOF`
    let line =
        locks.lines().find(|line| line.contains("FLOCK") && !line.contains("->") && line.contains(&inode))?;
    let process: u32 = line.split_whitespace().nth(4)?.parse().ok()?;
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    Some(if words.is_empty() {
        format!("process {process}")
    } else {
        format!("process {process}: `{words}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_runs_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make_folder(&at(".0.9.cairn-12.old"), 0o755).unwrap();
        let stay = [".0.9.cairn-x", "0.9", "a.cairn-7", ".b.cairn-"];
        for name in [".0.9.cairn-12", ".0.9.cairn-12.old/file"].into_iter().chain(stay) {
            fs::write(at(name), "").unwrap();
        }
        sweep(folder.path()).unwrap();
        let left =
            tree(folder.path()).into_iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_owned());
        let mut expected: Vec<PathBuf> =
            stay.into_iter().map(PathBuf::from).chain([PathBuf::new()]).collect();
        expected.sort();
        assert_eq!(left.collect::<Vec<_>>(), expected);
        assert!(sweep(&at("not-here")).is_ok());
    }
}
