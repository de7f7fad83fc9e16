//! Guests' serial lines. libvirt has virtlogd write them to a file per domain; here that file is read.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Libvirt;
use crate::error::Error;
use crate::state::ConsoleLog;

impl Libvirt {
    /// Where the first serial line of a domain is kept.
    pub(super) fn console_file(&self, uuid: Uuid) -> PathBuf {
        self.options.console_folder.join(format!("{uuid}.log"))
    }

    /// Removes what was kept of a domain's serial line.
    pub(super) async fn remove_console(&self, uuid: Uuid) {
        let path = self.console_file(uuid);
        if let Err(error) = tokio::task::spawn_blocking(move || remove(&path)).await {
            tracing::warn!("cannot remove the serial line of `{uuid}`: {error}");
        }
    }
}

/// Reads a stretch. A domain that never started has written nothing.
pub async fn read(path: &Path, offset: u64, limit: u64) -> Result<ConsoleLog, Error> {
    let owned = path.to_owned();
    let limit = limit.min(ConsoleLog::LIMIT_BYTES);
    let read = tokio::task::spawn_blocking(move || read_blocking(&owned, offset, limit));
    let read = read.await.map_err(std::io::Error::other).and_then(|read| read);
    read.map_err(|error| Error::Failed {
        what: format!("read the serial line in `{}`", path.display()),
        cause: error.to_string(),
        remedy: "look at the file and its folder".to_owned(),
    })
}

fn read_blocking(path: &Path, offset: u64, limit: u64) -> std::io::Result<ConsoleLog> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(ConsoleLog { offset: 0, bytes: Vec::new(), size: 0 });
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    // virtlogd starts a new file when one gets long: then all of the new one is new.
    let offset = if offset > size { 0 } else { offset };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(ConsoleLog { offset, bytes, size })
}

/// Removes what was kept of a domain, older files included.
fn remove(path: &Path) {
    let older = (0..10).map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    });
    for file in std::iter::once(path.to_owned()).chain(older) {
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("cannot remove `{}`: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other_and_a_new_file_starts_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert_eq!(read_blocking(&path, 7, 10).unwrap().size, 0);
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let first = read_blocking(&path, 0, 5).unwrap();
        assert_eq!((first.offset, first.bytes.as_slice(), first.size), (0, b"one\nt".as_slice(), 8));
        assert_eq!(read_blocking(&path, 5, 100).unwrap().bytes, b"wo\n");
        assert_eq!(read_blocking(&path, 8, 100).unwrap().bytes, b"");
        std::fs::write(&path, "new").unwrap();
        let new = read_blocking(&path, 8, 100).unwrap();
        assert_eq!((new.offset, new.bytes.as_slice()), (0, b"new".as_slice()));
    }

    #[test]
    fn nothing_is_left_of_a_removed_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        for name in ["a.log", "a.log.0", "a.log.1"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove(&path);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
