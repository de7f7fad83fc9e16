//! The files of `server/migrations`, in their order. A file that was released is never changed: what it should have
//! said is said by the next one.

use std::path::Path;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;

use super::{Result, StoreError};

macro_rules! migrations {
    ($($version:literal $name:literal,)+) => {
        /// Version, name and text of each.
        const ALL: &[(i64, &str, &str)] =
            &[$(($version, $name, include_str!(concat!("../../migrations/", $name, ".sql")))),+];
    };
}

migrations! {
    1 "0001_resources",
    2 "0002_join_again",
    3 "0003_audit",
    4 "0004_cache_modes",
    5 "0005_join_repeated",
}

/// The newest migration that this server knows.
#[must_use]
pub fn newest() -> i64 {
    ALL.iter().map(|(version, _, _)| *version).max().unwrap_or(0)
}

/// Applies what is missing, and refuses a database that knows more than this server.
pub async fn run(database: &SqlitePool, path: &Path) -> Result<()> {
    let migration = |(version, name, text): &(i64, &'static str, &'static str)| {
        let text = text.into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, text, false)
    };
    let migrator = Migrator::with_migrations(ALL.iter().map(migration).collect());
    migrator.run(database).await.map_err(|cause| {
        let path = path.to_owned();
        match cause {
            MigrateError::VersionMissing(found) => StoreError::Newer { path, found, known: newest() },
            cause => StoreError::Migrate { path, cause },
        }
    })
}
