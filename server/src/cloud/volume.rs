//! Volumes: made, made bigger and removed by tasks.

use std::sync::Arc;

use server_api::cache::CacheLevel;
use server_api::event::Kind;
use server_api::task::{Action, Task};
use server_api::volume::{Format, Phase, ResizeRequest, Volume, VolumeList, VolumeRequest};

use super::{Begun, Cloud, CloudError, Order, Plan, cache, find, free, image, names, storage};
use crate::store::{self, Connection, Id, Word, now_ms};
use crate::task::step::Step;

find!(find: volume, Volume, Volume);

/// The sector that guests see unless they are shown another, in bytes.
pub(super) const SECTOR_BYTES: i64 = 512;

/// A volume that is to be made, before it has a name.
pub(super) struct Wish<'a> {
    pub image: Option<&'a str>,
    pub storage: Option<&'a str>,
    pub size_bytes: Option<u64>,
}

impl Cloud {
    /// All volumes.
    pub async fn volumes(&self) -> Result<VolumeList, CloudError> {
        let mut db = self.store.read().await?;
        let mut volumes = Vec::new();
        for volume in store::volume::all(&mut db).await? {
            volumes.push(encode(&mut db, volume).await?);
        }
        Ok(VolumeList { volumes })
    }

    /// One volume.
    pub async fn volume(&self, volume: &str) -> Result<Volume, CloudError> {
        let mut db = self.store.read().await?;
        let volume = find(&mut db, volume).await?;
        encode(&mut db, volume).await
    }

    /// Makes a volume that is a disk of nobody yet.
    pub async fn create_volume(
        self: &Arc<Self>,
        order: &Order,
        request: VolumeRequest,
    ) -> Result<Task, CloudError> {
        names::check(&request.name)?;
        request.cache.map_or(Ok(()), cache::consent)?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let wish = Wish {
            image: request.image.as_deref(),
            storage: request.storage.as_deref(),
            size_bytes: request.size_bytes,
        };
        let volume = design(&mut db, &request.name, &wish).await?;
        store::volume::insert(&mut db, &volume).await.map_err(names::taken(Kind::Volume, &volume.name))?;
        cache::set_first(&mut db, order, CacheLevel::Volume, volume.id, request.cache).await?;
        let plan = Plan {
            action: Action::VolumeCreate,
            kind: Kind::Volume,
            id: volume.id,
            name: request.name,
            steps: vec![Step::CreateVolume { volume: volume.id }],
            holds: Vec::new(),
        };
        self.plan(db, order, plan).await
    }

    /// Makes a volume bigger. Not while a virtual machine has it as a disk and is not off: that is for its host to
    /// refuse.
    pub async fn resize_volume(
        self: &Arc<Self>,
        order: &Order,
        volume: &str,
        request: &ResizeRequest,
    ) -> Result<Task, CloudError> {
        names::check_size(request.size_bytes)?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let volume = usable(&mut db, volume).await?;
        let now = volume.size_bytes.map_or(0, i64::cast_unsigned);
        if request.size_bytes <= now {
            let message = format!("volume `{}` has {now} bytes already", volume.name);
            return Err(CloudError::invalid(message, "give more: a volume only grows"));
        }
        let mut holds = Vec::new();
        if let Some(vm) = volume.vm_id {
            let name = volume.vm_name.unwrap_or_default();
            free(&mut db, Kind::Vm, vm, &name).await?;
            holds.push((Kind::Vm, vm, name));
        }
        let plan = Plan {
            action: Action::VolumeResize,
            kind: Kind::Volume,
            id: volume.id,
            name: volume.name,
            steps: vec![Step::ResizeVolume { volume: volume.id, size_bytes: request.size_bytes }],
            holds,
        };
        self.plan(db, order, plan).await
    }

    /// Removes a volume that is a disk of nobody.
    pub async fn delete_volume(self: &Arc<Self>, order: &Order, volume: &str) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let volume = find(&mut db, volume).await?;
        free(&mut db, Kind::Volume, volume.id, &volume.name).await?;
        if let Some(vm) = volume.vm_name {
            let by = format!("it is a disk of virtual machine `{vm}`");
            return Err(CloudError::InUse { kind: Kind::Volume, name: volume.name, by });
        }
        store::volume::stands(&mut db, volume.id, Phase::Deleting).await?;
        let plan = Plan {
            action: Action::VolumeDelete,
            kind: Kind::Volume,
            id: volume.id,
            name: volume.name,
            steps: vec![Step::DeleteVolume { volume: volume.id, was: volume.phase.0 }],
            holds: Vec::new(),
        };
        self.plan(db, order, plan).await
    }
}

/// The volume that `wish` describes, in the storage that it names, or that of its image, or the only one.
pub(super) async fn design(
    db: &mut Connection,
    name: &str,
    wish: &Wish<'_>,
) -> Result<store::volume::Volume, CloudError> {
    let image = match wish.image {
        Some(image) => Some(image::ready(db, image).await?),
        None => None,
    };
    let storage = match (wish.storage, &image) {
        (Some(storage), _) => storage::find(db, storage).await?,
        (None, Some(image)) => storage::find(db, &image.storage_id.to_string()).await?,
        (None, None) => storage::only(db).await?,
    };
    if let Some(image) = image.as_ref().filter(|image| image.host_id != storage.host_id) {
        let message = format!("image `{}` is not on the host of storage `{}`", image.name, storage.name);
        return Err(CloudError::invalid(message, "import it into a storage of that host first"));
    }
    match (wish.size_bytes, &image) {
        (Some(size), _) => names::check_size(size)?,
        (None, Some(_)) => {}
        (None, None) => {
            let message = "a blank disk needs a size";
            return Err(CloudError::invalid(message, "give `size_bytes`, or an `image` to lie on"));
        }
    }
    let least = image.as_ref().and_then(|image| image.size_bytes).map_or(0, i64::cast_unsigned);
    if wish.size_bytes.is_some_and(|size| size < least) {
        let message = "the disk would be smaller than its image";
        return Err(CloudError::invalid(message, format!("give at least {least} bytes")));
    }
    let id = Id::new();
    Ok(store::volume::Volume {
        id,
        name: name.to_owned(),
        storage_id: storage.id,
        storage_name: storage.name,
        host_id: storage.host_id,
        image_id: image.as_ref().map(|image| image.id),
        image_name: image.map(|image| image.name),
        path: format!("{}/volumes/{id}.qcow2", storage.path),
        format: Word(Format::Qcow2),
        size_bytes: wish.size_bytes.map(u64::cast_signed),
        allocated_bytes: None,
        phase: Word(Phase::Creating),
        vm_id: None,
        vm_name: None,
        position: None,
        bus: None,
        // What lies on an image was made for the sectors that all images have.
        sector_bytes: wish.image.is_some().then_some(SECTOR_BYTES),
        created_ms: now_ms(),
    })
}

/// A volume that no task works on.
pub(super) async fn usable(db: &mut Connection, volume: &str) -> Result<store::volume::Volume, CloudError> {
    let volume = find(db, volume).await?;
    free(db, Kind::Volume, volume.id, &volume.name).await?;
    if volume.phase.0 == Phase::Ready {
        return Ok(volume);
    }
    let message = format!("volume `{}` is {}", volume.name, volume.phase.0);
    Err(CloudError::conflict(message, "delete it and make another"))
}

async fn encode(db: &mut Connection, volume: store::volume::Volume) -> Result<Volume, CloudError> {
    Ok(Volume {
        sector_bytes: volume.sector_bytes(),
        cache: store::cache::set(db, volume.id).await?,
        id: volume.id.0,
        name: volume.name,
        storage: volume.storage_id.0,
        storage_name: volume.storage_name,
        image: volume.image_id.map(|id| id.0),
        image_name: volume.image_name,
        vm: volume.vm_id.map(|id| id.0),
        vm_name: volume.vm_name,
        path: volume.path,
        format: volume.format.0,
        size_bytes: volume.size_bytes.map(i64::cast_unsigned),
        allocated_bytes: volume.allocated_bytes.map(i64::cast_unsigned),
        phase: volume.phase.0,
        created_at_ms: volume.created_ms,
    })
}
