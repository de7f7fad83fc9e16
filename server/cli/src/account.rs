//! Whom the user is at which server: one file that only the user can read, written by `cairn login`. Variables and
//! options win over it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// What is remembered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The server: `https://cloud.example:8443`.
    pub server: String,
    /// The authority that its certificate must come from, PEM.
    pub authority: String,
    /// A session's or an API token.
    pub token: String,
}

/// The file.
pub fn path() -> Result<PathBuf, Failure> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".config"));
    let folder = folder.or_else(home);
    let folder = folder.ok_or_else(|| Failure::File("cannot find a home folder; set HOME".to_owned()))?;
    Ok(folder.join("cairn/login.json"))
}

impl Account {
    /// Reads the file; none if nobody logged in.
    pub fn load() -> Result<Option<Self>, Failure> {
        let path = path()?;
        let failed = |cause: &dyn std::fmt::Display| {
            Failure::File(format!("cannot read `{}`: {cause}; log in again", path.display()))
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| failed(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Writes the file, beside itself first: it is never half there.
    pub fn save(&self) -> Result<(), Failure> {
        let path = path()?;
        let beside = path.with_extension("new");
        let write = || {
            let folder = path.parent().unwrap_or(&path);
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        write().map_err(|error: std::io::Error| {
            Failure::File(format!("cannot write `{}`: {error}; see that it is writable", path.display()))
        })
    }

    /// Removes the file. One that is not there is removed.
    pub fn forget() -> Result<(), Failure> {
        let path = path()?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::File(format!("cannot remove `{}`: {error}; remove it", path.display())))
            }
            _ => Ok(()),
        }
    }
}
