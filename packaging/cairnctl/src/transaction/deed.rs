//! How a step is taken back, and how what is left over is cleared away. Deeds are written down before the step acts. Each
//! may be done again after it was done, or where the step did not get so far: whoever was killed in the middle begins anew.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::backup;
use super::systemd;
use crate::host;

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Remove a file, a link or an empty folder.
    Remove(PathBuf),
    /// Remove a folder with everything in it.
    RemoveTree(PathBuf),
    /// Remove what a program has put into a folder, which was there or not. This is what it had.
    RemoveNew { folder: PathBuf, had: BTreeSet<PathBuf> },
    /// Give what was put aside its name again.
    PutBack { from: PathBuf, to: PathBuf },
    /// Point a link to where it pointed.
    Link { link: PathBuf, target: PathBuf },
    /// Put the server's data back from a backup.
    Restore { backup: PathBuf, to: PathBuf },
    /// Have systemd read its units again.
    Reload,
    /// Have a service start at boot.
    Enable(String),
    /// Have a service not start at boot.
    Disable(String),
    /// Start a service.
    Start(String),
    /// Stop a service.
    Stop(String),
}

impl Deed {
    /// For a folder that a program writes to on its own account.
    pub fn remove_new(folder: PathBuf) -> Self {
        let had = if folder.exists() { host::tree(&folder) } else { BTreeSet::new() };
        Self::RemoveNew { folder, had }
    }

    /// For a file, link or folder that is about to be replaced, or to be made.
    pub fn before_replacing(path: &Path) -> Vec<Self> {
        vec![
            if path.symlink_metadata().is_ok() {
                Self::PutBack { from: host::aside(path), to: path.to_owned() }
            } else {
                Self::RemoveTree(path.to_owned())
            },
            Self::RemoveTree(host::beside(path)),
        ]
    }

    /// Does it.
    pub fn apply(&self) -> Result<()> {
        match self {
            // A folder that somebody put something into meanwhile is theirs now.
            Self::Remove(path) if path.is_dir() && !path.is_symlink() && !host::is_empty_folder(path) => {
                Ok(())
            }
            Self::Remove(path) => host::remove(path),
            Self::RemoveTree(path) => host::remove_tree(path),
            Self::RemoveNew { folder, had } => {
                let now = host::tree(folder);
                now.iter().rev().filter(|path| !had.contains(*path)).try_for_each(|path| host::remove(path))
            }
            Self::PutBack { from, to } => put_back(from, to),
            Self::Link { link, target } => host::link_whole(link, target),
            Self::Restore { backup, to } => backup::restore(backup, to),
            Self::Reload => systemd::reload(),
            Self::Enable(unit) => systemd::enable(unit),
            // A unit whose file is gone is not enabled.
            Self::Disable(unit) if !systemd::is_enabled(unit) => Ok(()),
            Self::Disable(unit) => systemd::disable(unit),
            Self::Start(unit) => systemd::start(unit).with_context(|| format!("cannot start {unit} again")),
            Self::Stop(unit) if systemd::is_idle(unit) => Ok(()),
            Self::Stop(unit) => systemd::stop(unit),
        }
    }

    /// What is to be removed when there is no going back.
    pub fn left_over(&self) -> Option<Self> {
        match self {
            Self::PutBack { from, .. } => Some(Self::RemoveTree(from.clone())),
            Self::Restore { backup, .. } => Some(Self::Remove(backup::spare(backup))),
            _ => None,
        }
    }
}

fn put_back(from: &Path, to: &Path) -> Result<()> {
    let Ok(kept) = fs::symlink_metadata(from) else { return Ok(()) };
    match fs::symlink_metadata(to) {
        // Two names of one file: renaming one to the other would do nothing.
        Ok(there) if (there.dev(), there.ino()) == (kept.dev(), kept.ino()) => return host::remove(from),
        Ok(there) if there.is_dir() || kept.is_dir() => host::remove_tree(to)?,
        Ok(_) | Err(_) => (),
    }
    fs::rename(from, to).with_context(|| format!("cannot put `{}` back", to.display()))?;
    Ok(host::sync_folder_of(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_loses_what_a_program_put_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tls");
        let absent = Deed::remove_new(folder.clone());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("kept"), "").unwrap();
        let present = Deed::remove_new(folder.clone());
        fs::create_dir(folder.join("new")).unwrap();
        fs::write(folder.join("new/file"), "").unwrap();
        for _ in 0..2 {
            present.apply().unwrap();
            assert_eq!(host::tree(&folder).len(), 2);
        }
        for _ in 0..2 {
            absent.apply().unwrap();
            assert!(!folder.exists());
        }
    }

    #[test]
    fn what_was_put_aside_comes_back_or_goes() {
        let root = tempfile::tempdir().unwrap();
        for (name, is_folder) in [("file", false), ("folder", true)] {
            let path = root.path().join(name);
            let make = |content: &str| {
                if is_folder {
                    fs::create_dir_all(&path).unwrap();
                    fs::write(path.join("inside"), content).unwrap();
                } else {
                    fs::write(&path, content).unwrap();
                }
            };
            let content =
                || fs::read_to_string(if is_folder { path.join("inside") } else { path.clone() }).unwrap();
            // However far it got: nothing, put aside, replaced.
            for (far, back, expected) in
                [(0, true, "old"), (1, true, "old"), (2, true, "old"), (2, false, "new")]
            {
                make("old");
                let deeds = Deed::before_replacing(&path);
                if far > 0 {
                    host::put_aside(&path).unwrap();
                }
                if far > 1 {
                    host::remove_tree(&path).unwrap();
                    make("new");
                }
                for _ in 0..2 {
                    for deed in deeds.iter().rev() {
                        let left_over = deed.left_over();
                        if back {
                            deed.apply().unwrap();
                        } else if let Some(deed) = left_over {
                            deed.apply().unwrap();
                        }
                    }
                }
                assert_eq!(content(), expected);
                assert_eq!(root.path().read_dir().unwrap().count(), 1);
            }
            host::remove_tree(&path).unwrap();
        }
    }
}
