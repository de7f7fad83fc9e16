//! The folder of records: one file an operation, written beside, synced, renamed. Everything here blocks.

use std::io;
use std::path::{Path, PathBuf};

use agent_protocol::envelope::FailureCode;
use packaging_service::files::{Access, CreateError, NewFile, create_files, create_folder};
use uuid::Uuid;

use super::record::Record;
use crate::refusal::Refusal;

/// The folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What the folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Records of operations that ended, with the second in which they did.
    pub ended: Vec<(u64, Uuid)>,
    /// Those of operations that did not.
    pub unfinished: Vec<Record>,
    /// Files that cannot be read, with the complaint.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Store {
    /// The records in `folder`, which is made when there is something to write.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, operation: Uuid) -> PathBuf {
        self.folder.join(format!("{operation}.json"))
    }

    /// The record of one operation, if there is one.
    ///
    /// # Errors
    /// If its file cannot be read: what it is about is never guessed.
    pub fn load(&self, operation: Uuid) -> Result<Option<Record>, Refusal> {
        let path = self.path(operation);
        match read(&path, operation) {
            Ok(record) => Ok(record),
            Err(cause) => Err(Refusal::new(
                FailureCode::Internal,
                format!(
                    "cannot tell how far the operation {operation} got: `{}` cannot be read: {cause}; look at what it \
                     was about, move the file away, and order what is missing anew",
                    path.display()
                ),
            )),
        }
    }

    /// Writes a record, so that it is there after a loss of power.
    ///
    /// # Errors
    /// [`FailureCode::NoSpace`] or [`FailureCode::Internal`].
    pub fn save(&self, record: &Record) -> Result<(), Refusal> {
        let path = self.path(record.operation);
        let content = serde_json::to_string(record).map_err(|error| {
            Refusal::new(FailureCode::Internal, format!("cannot write a record: {error}; report this"))
        })?;
        let written = create_folder(&self.folder, Access::Private).and_then(|_| {
            create_files(&[NewFile { path, content: content + "\n", access: Access::Private }])
        });
        written.map_err(|error| {
            // A later attempt for another operation would not overwrite it.
            let _ = std::fs::remove_file(self.folder.join(format!(".{}.json.new", record.operation)));
            refusal(&error)
        })
    }

    /// Removes a record.
    pub fn remove(&self, operation: Uuid) {
        if let Err(error) = std::fs::remove_file(self.path(operation)) {
            tracing::warn!("cannot remove the record of operation {operation}: {error}");
        }
    }

    /// Looks at every file, and removes what an interrupted write left.
    ///
    /// # Errors
    /// If the folder cannot be listed. One that is not there is empty.
    pub fn scan(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".new") {
                let _ = std::fs::remove_file(&path);
                continue;
            }
            let Some(operation) = name.strip_suffix(".json").and_then(|name| name.parse().ok()) else {
                found.unreadable.push((path, "its name is not that of an operation".to_owned()));
                continue;
            };
            match read(&path, operation) {
                Ok(None) => {}
                Ok(Some(record)) => match record.ended_at() {
                    Some(at) => found.ended.push((at, operation)),
                    None => found.unfinished.push(record),
                },
                Err(cause) => found.unreadable.push((path, cause)),
            }
        }
        Ok(found)
    }
}

fn read(path: &Path, operation: Uuid) -> Result<Option<Record>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Record::parse(&bytes, operation).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Nothing is started that cannot be remembered.
fn refusal(error: &CreateError) -> Refusal {
    let full = matches!(error.cause().kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { FailureCode::NoSpace } else { FailureCode::Internal };
    Refusal::new(code, format!("the operation cannot be recorded: {error}"))
}
