//! How a step is taken back, and what is left to do when none has to be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::systemd;
use crate::host;

/// The reverse of a change.
#[derive(Debug)]
pub enum Undo {
    /// A file, link or empty folder that was not there.
    Remove(PathBuf),
    /// A folder with everything in it that was not there.
    RemoveTree(PathBuf),
    /// A folder, there or not, that a program is about to write to, and what was in it.
    RemoveNew { folder: PathBuf, had: BTreeSet<PathBuf> },
    /// A file that was replaced.
    Write { path: PathBuf, bytes: Vec<u8>, mode: u32 },
    /// What was moved aside, to be removed when all is done.
    MoveBack { from: PathBuf, to: PathBuf },
    /// A link that pointed elsewhere.
    Link { link: PathBuf, target: PathBuf },
    /// systemd has to read its units again.
    Reload,
    /// A service that did not start at boot.
    Disable(String),
    /// A service that was started.
    Stop(String),
    /// A service that ran before.
    Start(String),
}

impl Undo {
    /// For a folder that a program writes to on its own account.
    pub fn remove_new(folder: PathBuf) -> Self {
        let had = if folder.exists() { host::tree(&folder) } else { BTreeSet::new() };
        Self::RemoveNew { folder, had }
    }

    /// Takes it back.
    pub fn apply(self) -> Result<()> {
        match self {
            // A folder that somebody put something into meanwhile is theirs now.
            Self::Remove(path) if path.is_dir() && !path.is_symlink() && !host::is_empty_folder(&path) => {
                Ok(())
            }
            Self::Remove(path) => host::remove(&path),
            Self::RemoveTree(path) => host::remove_tree(&path),
            Self::RemoveNew { folder, had } => {
                let now = host::tree(&folder);
                now.iter().rev().filter(|path| !had.contains(*path)).try_for_each(|path| host::remove(path))
            }
            Self::Write { path, bytes, mode } => host::write_whole(&path, &bytes, mode),
            Self::MoveBack { from, to } => {
                host::remove_tree(&to)?;
                fs::rename(&from, &to).with_context(|| format!("cannot put `{}` back", to.display()))
            }
            Self::Link { link, target } => host::link_whole(&link, &target),
            Self::Reload => systemd::reload(),
            Self::Disable(unit) => systemd::disable(&unit),
            Self::Stop(unit) => systemd::stop(&unit),
            Self::Start(unit) => systemd::start(&unit).with_context(|| format!("cannot start {unit} again")),
        }
    }

    /// Gives up the way back. A leftover that cannot be removed now is removed by the next run.
    pub fn forget(self) {
        if let Self::MoveBack { from, .. } = self {
            let _ = host::remove_tree(&from);
        }
    }

    /// Moves what is at `path` aside, if there is anything, so that something else can take its place.
    pub fn make_way(path: &Path, undo: &mut Vec<Self>) -> Result<()> {
        if path.symlink_metadata().is_err() {
            undo.push(Self::RemoveTree(path.to_owned()));
            return Ok(());
        }
        let aside = host::aside(path);
        host::rename(path, &aside)?;
        undo.push(Self::MoveBack { from: aside, to: path.to_owned() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_loses_what_a_program_put_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tls");
        let absent = Undo::remove_new(folder.clone());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("kept"), "").unwrap();
        let present = Undo::remove_new(folder.clone());
        fs::create_dir(folder.join("new")).unwrap();
        fs::write(folder.join("new/file"), "").unwrap();
        present.apply().unwrap();
        assert_eq!(host::tree(&folder).len(), 2);
        absent.apply().unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn what_made_way_comes_back_or_goes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        for (back, content) in [(true, "old"), (false, "new")] {
            fs::write(&path, "old").unwrap();
            let mut undo = Vec::new();
            Undo::make_way(&path, &mut undo).unwrap();
            fs::write(&path, "new").unwrap();
            for undo in undo {
                if back { undo.apply().unwrap() } else { undo.forget() }
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(root.path().read_dir().unwrap().count(), 1);
        }
    }
}
