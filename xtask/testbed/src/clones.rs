//! Throw-away clones of a root, and the folder they lie in. A clone's folder is locked by the process that uses
//! it; a folder that nobody has locked was left by a process that was killed, and is swept away.

use crate::files::Tree;
use crate::invocation::{Invocation, Output};
use crate::mount::Mount;
use crate::overlay::{self, Overlay};
use crate::room::{Network, Room};
use crate::root::Root;
use crate::{cgroup, process};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How a clone is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneOptions {
    /// Where that which is written in the clone goes.
    pub upper: Upper,
}

/// Where that which is written in a clone goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upper {
    /// To the disk of the cache folder; to memory where that disk is itself an overlay and cannot carry another.
    #[default]
    Disk,
    /// To a tmpfs of at most this size: the faster choice for what writes a lot.
    Memory {
        /// The limit, in bytes.
        size_bytes: u64,
    },
}

/// What a clone may write on a machine whose disk cannot carry it.
const SPARE_MEMORY: u64 = 4 << 30;

/// A writable copy of a root, made in no time and gone, with all that runs in it, when dropped.
#[derive(Debug)]
pub struct RootClone {
    // Dropped in this order: unmounted, then removed.
    overlay: Overlay,
    folder: Folder,
}

impl RootClone {
    /// Clones `root`.
    ///
    /// Fails without the superuser, and where overlayfs cannot be mounted.
    pub fn new(root: &Root, options: CloneOptions) -> Result<Self> {
        let folder = Folder::create(&root.clones())?;
        let memory = match options.upper {
            Upper::Memory { size_bytes } => Some(size_bytes),
            Upper::Disk if overlay::can_carry(&folder.path)? => None,
            Upper::Disk => Some(SPARE_MEMORY),
        };
        Ok(Self { overlay: Overlay::mount(&folder.path, root.layers(), memory)?, folder })
    }

    /// The clone's root as this process sees it; rooms and machines mount their own things on top of it.
    ///
    /// The path leads through /proc into the mount namespace of the clone's holder, since the clone is mounted
    /// nowhere else. Opening, reading, writing, listing and running things below it work; canonicalizing it does not
    /// (the link in /proc reads as `/`), nor is it a source for a bind mount. It is a path of *this* machine: an
    /// absolute link below it leads out of the clone, and [`read`](Self::read) and [`write`](Self::write) are
    /// for that.
    pub fn path(&self) -> PathBuf {
        self.overlay.path()
    }

    /// A name that no other clone on this machine has: `cairn-testbed-`, our process's number, and one of its own.
    pub fn name(&self) -> &str {
        &self.folder.name
    }

    /// Runs a command in a room of its own, without mounts, and waits for its end. Nothing it starts outlives it.
    pub fn run(&self, command: impl Into<Invocation>) -> Result<Output> {
        self.room(&[])?.run(command)
    }

    /// Opens a room with these mounts, made in this order.
    pub fn room(&self, mounts: &[Mount]) -> Result<Room<'_>> {
        Room::open(self, Network::Loopback, mounts)
    }

    /// The content of a file of the clone.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        Tree::open(&self.path())?.read(path.as_ref())
    }

    /// Creates or replaces a file of the clone, and the folders on the way. `mode` as chmod takes it, 0o644.
    pub fn write(&self, path: impl AsRef<Path>, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        Tree::open(&self.path())?.write(path.as_ref(), mode, &mut content.as_ref())
    }

    /// Copies a file of this machine into the clone.
    pub fn copy_in(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, mode: u32) -> Result<()> {
        let from = from.as_ref();
        let mut file = File::open(from).with_context(|| format!("cannot open `{}`", from.display()))?;
        Tree::open(&self.path())?.write(to.as_ref(), mode, &mut file)
    }

    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The folder with the clone's own files, for logs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Ends the clone, and moves what was written to it to `to`, which must be on the same disk.
    pub(crate) fn keep_upper(self, to: &Path) -> Result<()> {
        let Self { overlay, folder } = self;
        drop(overlay);
        let upper = folder.path.join("disk/upper");
        fs::rename(&upper, to).with_context(|| format!("cannot move `{}`", upper.display()))
    }
}

/// A folder that this process has locked, and removes when done.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    name: String,
    _lock: File,
}

impl Folder {
    fn create(clones: &Path) -> Result<Self> {
        let _turn = sweep(clones)?;
        loop {
            // No name twice in a process; the folder of an earlier process of this number may still be there.
            static NUMBER: AtomicU32 = AtomicU32::new(1);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("cairn-testbed-{}-{number}", std::process::id());
            let path = clones.join(&name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                done => done.with_context(|| format!("cannot create `{}`", path.display()))?,
            }
            let lock = lock_file(&path)?;
            lock.try_lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
            return Ok(Self { path, name, _lock: lock });
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is swept away later. Almost all of it goes while the lock is still ours, and the
        // rest when it is our turn, so that no sweep comes across it.
        let _ = remove(&self.path.join("disk"));
        let _turn = self.path.parent().map(turn);
        let _ = remove(&self.path);
    }
}

/// Removes clones whose process is gone, with their control groups. The lock that is returned keeps others from
/// making or removing clones until it is dropped.
pub(crate) fn sweep(clones: &Path) -> Result<File> {
    fs::create_dir_all(clones).with_context(|| format!("cannot create `{}`", clones.display()))?;
    let turn = turn(clones)?;
    let entries = fs::read_dir(clones).with_context(|| format!("cannot list `{}`", clones.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()) {
        let Ok(lock) = lock_file(&path) else { continue };
        if lock.try_lock().is_ok() {
            // Its holder may still be on its way out; then the next sweep gets it.
            let _ = remove(&path);
            let _ = path.file_name().map(|name| cgroup::remove(&name.to_string_lossy()));
        }
    }
    Ok(turn)
}

/// Waits until nobody else makes or removes clones here, and keeps it so until the file is dropped.
fn turn(clones: &Path) -> Result<File> {
    let turn = lock_file(clones)?;
    turn.lock().with_context(|| format!("cannot lock `{}`", clones.display()))?;
    Ok(turn)
}

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    open.with_context(|| format!("cannot open `{}`", path.display()))
}

/// Removes a tree. The kernel may keep parts of an overlay busy for a moment after it was taken down.
fn remove(path: &Path) -> Result<()> {
    let mut last = None;
    process::until(Duration::from_secs(5), || {
        last = fs::remove_dir_all(path).err();
        Ok(last.is_none() || !path.exists())
    })?;
    match last {
        Some(error) if path.exists() => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_own_until_dropped_and_what_a_dead_process_left_is_swept() {
        let dir = tempfile::tempdir().expect("folder");
        let clones = dir.path().join("clones");
        let one = Folder::create(&clones).expect("one");
        let two = Folder::create(&clones).expect("two");
        assert_ne!(one.name, two.name);
        let left = clones.join("cairn-testbed-0-1");
        fs::create_dir_all(left.join("disk/upper")).expect("left over");
        drop(sweep(&clones).expect("sweep"));
        assert!(!left.exists() && one.path.exists() && two.path.exists());
        let path = one.path.clone();
        drop(one);
        assert!(!path.exists() && two.path.exists());
    }
}
