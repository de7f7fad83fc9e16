//! What the server remembers: one database, and for each resource a file with its row and the statements on
//! it. Above this room nobody sees a statement or the database's library.
//!
//! SQLite has one writer at a time. [`Store::write`] is it: a transaction that also notes what it changes, so
//! that those who follow events hear of a change when it holds and not before. Statements are of the kind
//! that PostgreSQL reads, too.

pub mod api_token;
pub mod audit;
pub mod cache;
mod error;
pub mod host;
pub mod image;
pub mod join_token;
mod migrations;
pub mod request;
pub mod session;
pub mod setting;
pub mod storage;
pub mod task;
mod text;
pub mod vm;
pub mod volume;

use std::fs::{File, OpenOptions, TryLockError};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_api::event::{Changed, Kind};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, Transaction};
use tokio::sync::broadcast;

pub use error::StoreError;
pub use migrations::newest;
pub use text::{Document, Id, Word};

/// What statements run on.
pub type Connection = sqlx::SqliteConnection;

/// A connection to read with. There are few: whoever waits for an agent gives it back first.
pub type Reader = PoolConnection<Sqlite>;

/// What statements give.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How long a statement waits for another process that holds the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for its turn to write.
const TURN: Duration = Duration::from_secs(20);

/// Connections that read.
const READERS: u32 = 4;

/// What a copy does not hold: whoever puts it back would let in again who has gone out since.
const PASSES: [(&str, &str); 2] =
    [("sessions", "DELETE FROM sessions"), ("join_tokens", "DELETE FROM join_tokens")];

/// Changes that a slow follower may be behind.
const BEHIND: usize = 1024;

/// The database.
#[derive(Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    changes: broadcast::Sender<Changed>,
    lock: File,
}

/// The one transaction that writes. Dropped without [`Write::commit`], it has not been.
#[derive(Debug)]
pub struct Write {
    transaction: Transaction<'static, Sqlite>,
    changed: Vec<Changed>,
    changes: broadcast::Sender<Changed>,
}

impl Store {
    /// Opens the database at `path`, which is made if it is not there, and brings it to this version.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open(path: &Path) -> Result<Self> {
        let open = |cause| StoreError::Open { path: path.to_owned(), cause };
        let lock = lock(path, open)?;
        // Made here and not by the library, so that it is its owner's alone whatever the umask; its
        // companions follow it.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        file.map_err(|error| open(error.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // Agents keep their records across a power cut: what was ordered must not be forgotten here when
            // the power fails.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(TURN);
        let writer = writer.connect_with(options.clone()).await.map_err(open)?;
        migrations::run(&writer, path).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(TURN);
        let readers = readers.connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers, changes: broadcast::Sender::new(BEHIND), lock })
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<Reader> {
        Ok(self.readers.acquire().await?)
    }

    /// The transaction to write with, once it is its turn.
    pub async fn write(&self) -> Result<Write> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { transaction, changed: Vec::new(), changes: self.changes.clone() })
    }

    /// Follows changes from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// Closes the database; what was committed is in its file. From then on another server may open it.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!("the lock of the database stays until this process ends: {error}");
        }
    }
}

/// The newest migration that the database at `path` has, `None` without a database. Changes no byte of it, whoever works
/// with it.
///
/// # Errors
/// If it cannot be read.
pub async fn applied(path: &Path) -> Result<Option<i64>> {
    if path.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(None);
    }
    let open = |cause| StoreError::Open { path: path.to_owned(), cause };
    let mut connection = looking_at(path).connect().await.map_err(open)?;
    let query = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let has_table: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.map_err(open)?;
    let applied = if has_table == 0 {
        None
    } else {
        let query = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";
        sqlx::query_scalar(query).fetch_one(&mut connection).await.map_err(open)?
    };
    connection.close().await.map_err(open)?;
    Ok(Some(applied.unwrap_or(0)))
}

/// How to look at the database at `path` without changing a byte of it, whoever works with it.
fn looking_at(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(PATIENCE);
    // Without a log nobody works with it, and the library is to leave none.
    options.immutable(!log_of(path).exists())
}

/// The hosts in the database at `path`, by name, each with what its agent said last, as it was said. None without a database.
///
/// # Errors
/// If it cannot be read.
pub async fn agents(path: &Path) -> Result<Vec<(String, Option<String>)>> {
    if path.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(Vec::new());
    }
    let open = |cause| StoreError::Open { path: path.to_owned(), cause };
    let mut connection = looking_at(path).connect().await.map_err(open)?;
    let query = sqlx::query_as("SELECT name, facts FROM hosts ORDER BY name");
    let agents = query.fetch_all(&mut connection).await.map_err(open)?;
    connection.close().await.map_err(open)?;
    Ok(agents)
}

/// Writes a copy of the database at `path` to `to`: as it is at one moment, whoever works with it, but for sessions and
/// join tokens. Returns its newest migration, `None` without a database; then nothing is written.
///
/// # Errors
/// If it cannot be read, or `to` is there or cannot be written.
pub async fn copy(path: &Path, to: &Path) -> Result<Option<i64>> {
    let failed = |cause: sqlx::Error| StoreError::Copy { path: path.to_owned(), to: to.to_owned(), cause };
    if path.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(None);
    }
    // Where no server runs, none starts meanwhile.
    let lock = match lock(path, failed) {
        Err(StoreError::Taken { .. }) => None,
        free => Some(free?),
    };
    // Made here, so that it is its owner's alone whatever the umask; the database fills an empty file.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let file = file.map_err(|error| failed(error.into()))?;
    let fill = async {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(PATIENCE);
        let options = options.immutable(lock.is_some() && !log_of(path).exists());
        let mut connection = options.connect().await?;
        sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy()).execute(&mut connection).await?;
        connection.close().await?;
        without_passes(to).await?;
        // The database does not wait for the disk here.
        Ok(file.sync_all()?)
    };
    if let Err(error) = fill.await {
        let _ = std::fs::remove_file(to);
        return Err(failed(error));
    }
    applied(to).await
}

/// Removes them from a copy, bytes and all.
async fn without_passes(copy: &Path) -> std::result::Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(copy).pragma("secure_delete", "ON");
    let mut connection = options.connect().await?;
    for (table, forget) in PASSES {
        // A database from before a migration does not have them all.
        let query = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1";
        let tables: i64 = sqlx::query_scalar(query).bind(table).fetch_one(&mut connection).await?;
        if tables > 0 {
            sqlx::query(forget).execute(&mut connection).await?;
        }
    }
    connection.close().await
}

fn log_of(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().display()))
}

/// Keeps other servers off the database at `path`: each would do the tasks of both. A file of its own, because to close
/// the database's would drop the library's locks on it; the kernel takes the lock back from a process that dies.
fn lock(path: &Path, open: impl Fn(sqlx::Error) -> StoreError) -> Result<File> {
    let place = path.with_added_extension("lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(place);
    let file = file.map_err(|error| open(error.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Taken { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(open(error.into())),
    }
}

impl Write {
    /// Notes that a resource was made, changed or removed.
    pub fn changed(&mut self, kind: Kind, id: Id) {
        let change = Changed { kind, id: id.0 };
        if !self.changed.contains(&change) {
            self.changed.push(change);
        }
    }

    /// Makes all of it hold, and tells those who follow. If that fails, nothing holds. Once begun it goes to
    /// its end, whoever stops waiting for it: the database would commit and nobody be told.
    pub async fn commit(self) -> Result<()> {
        let committed = tokio::spawn(async move {
            self.transaction.commit().await?;
            for change in self.changed {
                // An error says that nobody follows.
                let _ = self.changes.send(change);
            }
            Ok(())
        });
        committed.await.unwrap_or(Err(StoreError::Died))
    }
}

impl Deref for Write {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.transaction
    }
}

/// The ways to find a row that has an id and a name. `$select` is the statement without its condition.
macro_rules! named {
    ($row:ty, $table:literal, $select:literal) => {
        /// All, by name.
        pub async fn all(db: &mut $crate::store::Connection) -> $crate::store::Result<Vec<$row>> {
            let statement = concat!($select, " ORDER BY ", $table, ".name");
            Ok(sqlx::query_as(statement).fetch_all(db).await?)
        }

        /// The one with this id.
        pub async fn by_id(
            db: &mut $crate::store::Connection,
            id: $crate::store::Id,
        ) -> $crate::store::Result<Option<$row>> {
            let statement = concat!($select, " WHERE ", $table, ".id = $1");
            Ok(sqlx::query_as(statement).bind(id).fetch_optional(db).await?)
        }

        /// The one with this name.
        pub async fn by_name(
            db: &mut $crate::store::Connection,
            name: &str,
        ) -> $crate::store::Result<Option<$row>> {
            let statement = concat!($select, " WHERE ", $table, ".name = $1");
            Ok(sqlx::query_as(statement).bind(name).fetch_optional(db).await?)
        }
    };
}

use named;

/// The time, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
