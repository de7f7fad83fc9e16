//! Small deeds on a host's files, each saying what it did to which path when it fails.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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
    set_mode(path, mode)
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
        fs::rename(&beside, path)
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
        fs::rename(&beside, path)
    };
    link()
        .with_context(|| format!("cannot point `{}` at `{}`", path.display(), target.display()))
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
}

/// A name beside `path` that nothing else uses: hidden, with our process id.
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.cairn-{}", std::process::id()))
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
    tolerate_absence(removed).with_context(|| format!("cannot remove `{}`", path.display()))
}

/// Removes a folder and everything in it, or a file. That it is gone already is as good.
pub fn remove_tree(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return remove(path);
    }
    tolerate_absence(fs::remove_dir_all(path)).with_context(|| format!("cannot remove `{}`", path.display()))
}

/// Whether the folder is there and holds nothing.
pub fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn tolerate_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
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
            let sentence = format!(
                "another installation or removal is at work in `{}`; wait for it to end",
                root.display()
            );
            Err(crate::exit::Exit::error(crate::exit::Code::Locked, sentence))
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", root.display()))
        }
    }
}
