//! Why the database does not do what it should.

use std::path::PathBuf;

use thiserror::Error;

/// Every way to fail.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error(
        "cannot open the database `{path}`: {cause}; see that its folder is there and writable, or restore it from a backup"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        cause: sqlx::Error,
    },
    /// Another server works with it.
    #[error(
        "another server works with the database `{path}`; stop that one first, or give this one a root of its own with `--root`"
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be copied.
    #[error(
        "cannot copy the database `{path}` to `{to}`: {cause}; see that the file is not there yet, and that its folder is writable and has space"
    )]
    Copy {
        /// The database.
        path: PathBuf,
        /// The copy.
        to: PathBuf,
        /// What the database said.
        cause: sqlx::Error,
    },
    /// A newer server has worked with it.
    #[error(
        "the database `{path}` was written by a newer server: it has migration {found}, this server knows {known}; install that version again, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its newest migration.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// It cannot be brought to this version.
    #[error("cannot migrate the database `{path}`: {cause}; restore it from a backup")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database fails: {0}; see that its file system has space and is writable")]
    Database(#[from] sqlx::Error),
    /// The server's own work on it ended before it was done.
    #[error("work on the database ended before it was done; look into the server's log")]
    Died,
}

impl StoreError {
    /// True if a row was refused because another one has its name, path or number.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.kind() == Some(sqlx::error::ErrorKind::UniqueViolation)
    }

    /// True if a row was kept because others refer to it.
    #[must_use]
    pub fn is_referred_to(&self) -> bool {
        self.kind() == Some(sqlx::error::ErrorKind::ForeignKeyViolation)
    }

    fn kind(&self) -> Option<sqlx::error::ErrorKind> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => Some(error.kind()),
            Self::Database(_)
            | Self::Died
            | Self::Open { .. }
            | Self::Taken { .. }
            | Self::Newer { .. }
            | Self::Migrate { .. }
            | Self::Copy { .. } => None,
        }
    }
}
