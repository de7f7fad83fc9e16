//! Backups of the server's data: a copy of its files while it does not run, each with its SHA-256, so that a restored
//! database is the same byte for byte. Restoring may be done again, and what is not whole is no backup.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::journal::now;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;

/// The generation of the record.
const FORMAT: u32 = 1;

/// Written last and removed first: what has it is whole.
const RECORD: &str = "backup.json";

/// Room beside a backup for the one copy that restoring it takes at a time, so that it is also done on a disk that became full.
const SPARE: &str = ".spare";

const DATABASE: &str = "cairn.db";

/// What one process keeps beside the database, and the next one makes anew.
const PASSING: [&str; 2] = ["cairn.db.lock", "cairn.db-shm"];

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    format: u32,
    /// The version that worked with the data.
    pub version: String,
    /// Seconds since 1970.
    pub taken: u64,
    /// The newest migration of the database, where a program could tell.
    pub migration: Option<i64>,
    files: Vec<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    path: PathBuf,
    sha256: String,
}

/// Where the record of a backup lies.
pub fn record(folder: &Path) -> PathBuf {
    folder.join(RECORD)
}

/// Reads the record of a backup; `None` if there is no whole one.
///
/// # Errors
/// Exit code 2 for one that cannot be understood.
pub fn read(folder: &Path) -> Result<Option<Backup>> {
    let file = record(folder);
    let json = match fs::read(&file) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    };
    match serde_json::from_slice::<Backup>(&json) {
        Ok(backup) if backup.format == FORMAT => Ok(Some(backup)),
        Ok(_) | Err(_) => {
            let sentence = format!("`{}` is no record of a backup; restore another one", file.display());
            Err(Exit::error(Code::Damaged, sentence))
        }
    }
}

/// A folder that no backup has had. Numbers go up, so that the order is seen.
pub fn next(layout: &Layout, version: &str) -> PathBuf {
    let names = std::fs::read_dir(layout.backups()).into_iter().flatten().flatten();
    let numbers =
        names.filter_map(|entry| entry.file_name().to_str()?.split_once('-')?.0.parse::<u32>().ok());
    let next = numbers.max().unwrap_or(0).saturating_add(1);
    layout.backups().join(format!("{next}-{version}"))
}

/// Copies the data in `from` to `folder`, which is made.
///
/// # Errors
/// Exit code 5 if a server works with the data.
pub fn take(from: &Path, folder: &Path, version: &str, migration: Option<i64>) -> Result<()> {
    let _lock = hold(from)?;
    host::make_folder(folder, 0o700)?;
    let mut files = Vec::new();
    for path in host::tree(from).into_iter().filter(|path| path.is_file() && !is_passing(path)) {
        let relative = path.strip_prefix(from)?.to_owned();
        let to = folder.join(&relative);
        host::make_folders(to.parent().unwrap_or(folder))?;
        fs::copy(&path, &to)
            .with_context(|| format!("cannot copy `{}` to `{}`", path.display(), to.display()))?;
        files.push(Kept { path: relative, sha256: host::sha256_of(&to)? });
    }
    host::sync_tree(folder)?;
    let backup = Backup { format: FORMAT, version: version.to_owned(), taken: now(), migration, files };
    host::write_whole(&record(folder), &serde_json::to_vec_pretty(&backup)?, 0o600)
}

/// The file that [`reserve`] makes in a backup.
pub fn spare(folder: &Path) -> PathBuf {
    folder.join(SPARE)
}

/// Takes the room that restoring this backup needs. It is free again when the file is removed.
///
/// # Errors
/// If there is none.
pub fn reserve(folder: &Path) -> Result<()> {
    let sizes = host::tree(folder).into_iter().filter_map(|path| path.symlink_metadata().ok());
    let largest = sizes.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).max();
    let file = spare(folder);
    let take = || -> io::Result<()> {
        let spare = File::create(&file)?;
        match fallocate(&spare, FallocateFlags::empty(), 0, largest.unwrap_or(0).max(1)) {
            // Not every file system can.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            taken => Ok(taken?),
        }
    };
    take().with_context(|| format!("cannot reserve room in `{}`", folder.display()))
}

/// Makes a backup of a folder that holds the data already.
///
/// # Errors
/// If its files cannot be read.
pub fn adopt(folder: &Path, version: &str, taken: u64, migration: Option<i64>) -> Result<()> {
    let mut files = Vec::new();
    for path in host::tree(folder).into_iter().filter(|path| path.is_file()) {
        files.push(Kept { path: path.strip_prefix(folder)?.to_owned(), sha256: host::sha256_of(&path)? });
    }
    host::sync_tree(folder)?;
    let backup = Backup { format: FORMAT, version: version.to_owned(), taken, migration, files };
    host::write_whole(&record(folder), &serde_json::to_vec_pretty(&backup)?, 0o600)
}

/// Puts the data of a backup back to where it was. What is no whole backup is left alone: it was never needed, or has
/// been removed after it was.
///
/// # Errors
/// Exit code 2 for damage, 5 if a server works with the data. Nothing has been changed then.
pub fn restore(folder: &Path, to: &Path) -> Result<()> {
    let Some(backup) = read(folder)? else { return Ok(()) };
    for kept in &backup.files {
        let file = folder.join(&kept.path);
        if !host::sha256_of(&file).is_ok_and(|sha256| sha256 == kept.sha256) {
            let sentence = format!("`{}` of the backup is damaged; restore another one", file.display());
            return Err(Exit::error(Code::Damaged, sentence));
        }
    }
    let _lock = hold(to)?;
    // A database must never be seen with the log of another.
    for name in [format!("{DATABASE}-wal"), format!("{DATABASE}-shm")] {
        host::remove(&to.join(name))?;
    }
    if !backup.files.iter().any(|kept| kept.path == Path::new(DATABASE)) {
        host::remove(&to.join(DATABASE))?;
    }
    // In the order of their names, so that the log comes behind the database.
    for kept in &backup.files {
        let (from, place) = (folder.join(&kept.path), to.join(&kept.path));
        if host::sha256_of(&place).is_ok_and(|sha256| sha256 == kept.sha256) {
            File::open(&place)?.sync_all()?;
            continue;
        }
        let beside = host::beside(&place);
        let copy = || -> io::Result<()> {
            fs::copy(&from, &beside)?;
            File::open(&beside)?.sync_all()
        };
        copy().with_context(|| format!("cannot restore `{}`", place.display())).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })?;
        host::rename(&beside, &place)?;
    }
    Ok(())
}

fn is_passing(path: &Path) -> bool {
    path.file_name().is_some_and(|name| PASSING.iter().any(|passing| name == *passing))
}

/// Keeps a server from starting on the data.
fn hold(data: &Path) -> Result<Option<File>> {
    let lock = data.join(PASSING[0]);
    let file = match File::open(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open `{}`", lock.display())),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            let sentence = format!("a server works with the data in `{}`; stop it first", data.display());
            Err(Exit::error(Code::Locked, sentence))
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", lock.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_restored_is_the_same_and_nothing_of_what_came_later() {
        let root = tempfile::tempdir().unwrap();
        let (data, folder) = (root.path().join("server"), root.path().join("backup"));
        fs::create_dir(&data).unwrap();
        let write = |name: &str, text: &str| fs::write(data.join(name), text).unwrap();
        let all = || host::tree(&data).into_iter().filter(|path| path.is_file()).collect::<Vec<_>>();
        for name in ["cairn.db", "cairn.db-shm", "cairn.db.lock", "admin.json"] {
            write(name, "old");
        }
        take(&data, &folder, "1.0", Some(2)).unwrap();
        assert_eq!(read(&folder).unwrap().unwrap().migration, Some(2));
        write("cairn.db", "new");
        write("cairn.db-wal", "new");
        for _ in 0..2 {
            restore(&folder, &data).unwrap();
            let expected = ["admin.json", "cairn.db", "cairn.db.lock"].map(|name| data.join(name));
            assert_eq!(all(), expected);
            assert!(all().iter().all(|file| fs::read(file).unwrap() == b"old"));
        }
    }

    #[test]
    fn a_running_server_and_damage_change_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (data, folder) = (root.path().join("server"), root.path().join("backup"));
        fs::create_dir(&data).unwrap();
        for name in ["cairn.db", "cairn.db.lock"] {
            fs::write(data.join(name), "old").unwrap();
        }
        take(&data, &folder, "1.0", None).unwrap();
        fs::write(data.join("cairn.db"), "new").unwrap();
        let code = |result: Result<()>| result.map_err(|error| crate::exit::code_of(&error));
        let held = File::open(data.join("cairn.db.lock")).unwrap();
        held.lock().unwrap();
        assert_eq!(code(restore(&folder, &data)), Err(Code::Locked));
        assert_eq!(code(take(&data, &root.path().join("other"), "1.0", None)), Err(Code::Locked));
        drop(held);
        fs::write(folder.join("cairn.db"), "damaged").unwrap();
        assert_eq!(code(restore(&folder, &data)), Err(Code::Damaged));
        assert_eq!(fs::read(data.join("cairn.db")).unwrap(), b"new");
        host::remove(&record(&folder)).unwrap();
        assert_eq!(code(restore(&folder, &data)), Ok(()));
    }
}
