//! Volumes, and which virtual machines they are disks of.

use server_api::event::Kind;
use server_api::vm::DiskBus;
use server_api::volume::{Format, Phase};

use super::{Connection, Id, Result, Word, Write, named};

/// A volume, with the names of what it belongs to.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Volume {
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
    /// The image that it lies on.
    pub image_id: Option<Id>,
    /// Name of that image.
    pub image_name: Option<String>,
    /// Its file.
    pub path: String,
    /// What is in the file.
    pub format: Word<Format>,
    /// What a guest sees, in bytes; absent while it is to be as big as its image.
    pub size_bytes: Option<i64>,
    /// What it takes of its storage, in bytes.
    pub allocated_bytes: Option<i64>,
    /// Where it stands.
    pub phase: Word<Phase>,
    /// The virtual machine that it is a disk of.
    pub vm_id: Option<Id>,
    /// Name of that virtual machine.
    pub vm_name: Option<String>,
    /// Which disk, from 0.
    pub position: Option<i64>,
    /// How the guest sees it.
    pub bus: Option<Word<DiskBus>>,
    /// The sector that guests know of it; none while no guest has had it.
    pub sector_bytes: Option<i64>,
    /// When it was asked for.
    pub created_ms: i64,
}

impl Volume {
    /// The sector that guests know of it.
    #[must_use]
    pub fn sector_bytes(&self) -> Option<u32> {
        self.sector_bytes.and_then(|bytes| u32::try_from(bytes).ok())
    }
}

named!(
    Volume,
    "volumes",
    "SELECT volumes.*, storages.name AS storage_name, storages.host_id AS host_id,
     images.name AS image_name, vms.name AS vm_name
     FROM volumes JOIN storages ON storages.id = volumes.storage_id
     LEFT JOIN images ON images.id = volumes.image_id LEFT JOIN vms ON vms.id = volumes.vm_id"
);

/// The disks of a virtual machine, in order.
pub async fn of_vm(db: &mut Connection, vm: Id) -> Result<Vec<Volume>> {
    let statement = "SELECT volumes.*, storages.name AS storage_name, storages.host_id AS host_id,
         images.name AS image_name, vms.name AS vm_name
         FROM volumes JOIN storages ON storages.id = volumes.storage_id
         LEFT JOIN images ON images.id = volumes.image_id JOIN vms ON vms.id = volumes.vm_id
         WHERE volumes.vm_id = $1 ORDER BY volumes.position";
    Ok(sqlx::query_as(statement).bind(vm).fetch_all(db).await?)
}

/// Adds one.
pub async fn insert(db: &mut Write, volume: &Volume) -> Result<()> {
    sqlx::query(
        "INSERT INTO volumes
         (id, name, storage_id, image_id, path, format, size_bytes, phase, vm_id, position, bus, created_ms,
          sector_bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(volume.id)
    .bind(&volume.name)
    .bind(volume.storage_id)
    .bind(volume.image_id)
    .bind(&volume.path)
    .bind(volume.format)
    .bind(volume.size_bytes)
    .bind(volume.phase)
    .bind(volume.vm_id)
    .bind(volume.position)
    .bind(volume.bus)
    .bind(volume.created_ms)
    .bind(volume.sector_bytes)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Volume, volume.id);
    Ok(())
}

/// Notes what its file is now. It can be used from now on.
pub async fn made(db: &mut Write, id: Id, size_bytes: u64, allocated_bytes: u64) -> Result<()> {
    sqlx::query("UPDATE volumes SET size_bytes = $2, allocated_bytes = $3, phase = $4 WHERE id = $1")
        .bind(id)
        .bind(size_bytes.cast_signed())
        .bind(allocated_bytes.cast_signed())
        .bind(Word(Phase::Ready))
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Volume, id);
    Ok(())
}

/// Notes the sector that a guest sees of it, unless one is noted.
pub async fn shown(db: &mut Write, id: Id, bytes: u32) -> Result<()> {
    let statement = "UPDATE volumes SET sector_bytes = $2 WHERE id = $1 AND sector_bytes IS NULL";
    sqlx::query(statement).bind(id).bind(i64::from(bytes)).execute(&mut **db).await?;
    db.changed(Kind::Volume, id);
    Ok(())
}

/// Notes where it stands.
pub async fn stands(db: &mut Write, id: Id, phase: Phase) -> Result<()> {
    let statement = "UPDATE volumes SET phase = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(Word(phase)).execute(&mut **db).await?;
    db.changed(Kind::Volume, id);
    Ok(())
}

/// Makes it the last disk of `vm`.
pub async fn attach(db: &mut Write, id: Id, vm: Id, bus: DiskBus) -> Result<()> {
    sqlx::query(
        "UPDATE volumes SET vm_id = $2, bus = $3,
         position = (SELECT COALESCE(MAX(others.position), -1) + 1 FROM volumes others WHERE others.vm_id = $2)
         WHERE id = $1",
    )
    .bind(id)
    .bind(vm)
    .bind(Word(bus))
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Volume, id);
    db.changed(Kind::Vm, vm);
    Ok(())
}

/// Makes it a disk of nobody.
pub async fn detach(db: &mut Write, id: Id) -> Result<()> {
    let statement = "UPDATE volumes SET vm_id = NULL, position = NULL, bus = NULL WHERE id = $1";
    sqlx::query(statement).bind(id).execute(&mut **db).await?;
    db.changed(Kind::Volume, id);
    Ok(())
}

/// Removes one.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    super::cache::forget(db, id).await?;
    sqlx::query("DELETE FROM volumes WHERE id = $1").bind(id).execute(&mut **db).await?;
    db.changed(Kind::Volume, id);
    Ok(())
}
