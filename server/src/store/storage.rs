//! Storages.

use agent_protocol::survey::Survey;
use agent_protocol::volume::Folder;
use server_api::event::Kind;

use super::{Connection, Document, Id, Result, Write, named, now_ms};

/// A storage, with the name of its host.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Storage {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host_id: Id,
    /// Name of its host.
    pub host_name: String,
    /// The folder.
    pub path: String,
    /// The file system that the folder lies on.
    pub file_system: String,
    /// Size of that file system, in bytes.
    pub capacity_bytes: i64,
    /// What of it can still be written, in bytes.
    pub available_bytes: i64,
    /// When it was looked at last.
    pub seen_ms: i64,
    /// When it was added.
    pub created_ms: i64,
    /// What the agent said when it measured it last, as JSON.
    pub survey: Option<String>,
    /// When that was.
    pub surveyed_ms: Option<i64>,
    /// Why it could not the last time.
    pub survey_failure: Option<String>,
}

impl Storage {
    /// What it is worth for disks, unless another version wrote that down.
    #[must_use]
    pub fn survey(&self) -> Option<(Survey, i64)> {
        Some((serde_json::from_str(self.survey.as_deref()?).ok()?, self.surveyed_ms?))
    }
}

named!(
    Storage,
    "storages",
    "SELECT storages.*, hosts.name AS host_name FROM storages JOIN hosts ON hosts.id = storages.host_id"
);

/// Those of a host.
pub async fn of_host(db: &mut Connection, host: Id) -> Result<Vec<Storage>> {
    let statement = "SELECT storages.*, hosts.name AS host_name
         FROM storages JOIN hosts ON hosts.id = storages.host_id WHERE host_id = $1 ORDER BY storages.name";
    Ok(sqlx::query_as(statement).bind(host).fetch_all(db).await?)
}

/// Adds one.
pub async fn insert(db: &mut Write, storage: &Storage) -> Result<()> {
    sqlx::query(
        "INSERT INTO storages
         (id, name, host_id, path, file_system, capacity_bytes, available_bytes, seen_ms, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(storage.id)
    .bind(&storage.name)
    .bind(storage.host_id)
    .bind(&storage.path)
    .bind(&storage.file_system)
    .bind(storage.capacity_bytes)
    .bind(storage.available_bytes)
    .bind(storage.seen_ms)
    .bind(storage.created_ms)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Storage, storage.id);
    Ok(())
}

/// Notes what its folder offers now.
pub async fn seen(db: &mut Write, id: Id, folder: &Folder) -> Result<()> {
    sqlx::query(
        "UPDATE storages SET file_system = $2, capacity_bytes = $3, available_bytes = $4, seen_ms = $5
         WHERE id = $1",
    )
    .bind(id)
    .bind(&folder.file_system)
    .bind(folder.capacity_bytes.cast_signed())
    .bind(folder.available_bytes.cast_signed())
    .bind(now_ms())
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Storage, id);
    Ok(())
}

/// Notes what it is worth for disks, or why that could not be measured.
pub async fn surveyed(db: &mut Write, id: Id, measured: std::result::Result<Survey, String>) -> Result<()> {
    match measured {
        Ok(survey) => {
            let statement =
                "UPDATE storages SET survey = $2, surveyed_ms = $3, survey_failure = NULL WHERE id = $1";
            let query = sqlx::query(statement).bind(id).bind(Document(survey)).bind(now_ms());
            query.execute(&mut **db).await?;
        }
        Err(failure) => {
            let statement = "UPDATE storages SET survey_failure = $2 WHERE id = $1";
            sqlx::query(statement).bind(id).bind(failure).execute(&mut **db).await?;
        }
    }
    db.changed(Kind::Storage, id);
    Ok(())
}

/// Removes one. Fails, too, if something lies in it.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    sqlx::query("DELETE FROM storages WHERE id = $1").bind(id).execute(&mut **db).await?;
    super::cache::forget(db, id).await?;
    db.changed(Kind::Storage, id);
    Ok(())
}
