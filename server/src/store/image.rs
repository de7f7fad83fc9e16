//! Images.

use server_api::event::Kind;
use server_api::volume::{Format, Phase};

use sqlx::Row;

use super::{Connection, Id, Result, Word, Write, named};

/// An image, with the name and host of its storage.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Image {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its storage.
    pub storage_id: Id,
    /// Name of its storage.
    pub storage_name: String,
    /// Host of its storage.
    pub host_id: Id,
    /// Its file.
    pub path: String,
    /// Where it was copied from.
    pub source: String,
    /// The SHA-256 that the file must have, in lower case.
    pub expected_sha256: Option<String>,
    /// What is in the file.
    pub format: Option<Word<Format>>,
    /// What a guest sees, in bytes.
    pub size_bytes: Option<i64>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Where it stands.
    pub phase: Word<Phase>,
    /// When it was asked for.
    pub created_ms: i64,
}

named!(
    Image,
    "images",
    "SELECT images.*, storages.name AS storage_name, storages.host_id AS host_id
     FROM images JOIN storages ON storages.id = images.storage_id"
);

/// Adds one.
pub async fn insert(db: &mut Write, image: &Image) -> Result<()> {
    sqlx::query(
        "INSERT INTO images (id, name, storage_id, path, source, expected_sha256, phase, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(image.id)
    .bind(&image.name)
    .bind(image.storage_id)
    .bind(&image.path)
    .bind(&image.source)
    .bind(&image.expected_sha256)
    .bind(image.phase)
    .bind(image.created_ms)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Image, image.id);
    Ok(())
}

/// Notes what its file turned out to be. It can be used from now on.
pub async fn imported(db: &mut Write, id: Id, format: Format, size_bytes: u64, sha256: &str) -> Result<()> {
    sqlx::query("UPDATE images SET format = $2, size_bytes = $3, sha256 = $4, phase = $5 WHERE id = $1")
        .bind(id)
        .bind(Word(format))
        .bind(size_bytes.cast_signed())
        .bind(sha256)
        .bind(Word(Phase::Ready))
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Image, id);
    Ok(())
}

/// Notes where it stands.
pub async fn stands(db: &mut Write, id: Id, phase: Phase) -> Result<()> {
    let statement = "UPDATE images SET phase = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(Word(phase)).execute(&mut **db).await?;
    db.changed(Kind::Image, id);
    Ok(())
}

/// Removes one. Fails, too, if a volume lies on it.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    sqlx::query("DELETE FROM images WHERE id = $1").bind(id).execute(&mut **db).await?;
    db.changed(Kind::Image, id);
    Ok(())
}

/// A volume that lies on it, or a virtual machine with it in a drive, in words.
pub async fn needed_by(db: &mut Connection, id: Id) -> Result<Option<String>> {
    let statement = "SELECT name FROM volumes WHERE image_id = $1 ORDER BY name LIMIT 1";
    if let Some(row) = sqlx::query(statement).bind(id).fetch_optional(&mut *db).await? {
        return Ok(Some(format!("volume `{}` lies on it", row.try_get::<String, _>(0)?)));
    }
    let statement = "SELECT vms.name FROM cdroms JOIN vms ON vms.id = cdroms.vm_id
         WHERE image_id = $1 ORDER BY vms.name LIMIT 1";
    let row = sqlx::query(statement).bind(id).fetch_optional(&mut *db).await?;
    let name = row.map(|row| row.try_get::<String, _>(0)).transpose()?;
    Ok(name.map(|name| format!("it lies in a drive of virtual machine `{name}`")))
}
