//! Images: copied into a storage by a task, removed by another.

use std::sync::Arc;

use server_api::event::Kind;
use server_api::image::{Image, ImageList, ImageRequest};
use server_api::task::{Action, Task};
use server_api::volume::Phase;

use super::{Begun, Cloud, CloudError, Order, Plan, find, free, names, storage};
use crate::store::{self, Id, Word, now_ms};
use crate::task::step::Step;

find!(find: image, Image, Image);

impl Cloud {
    /// All images.
    pub async fn images(&self) -> Result<ImageList, CloudError> {
        let images = store::image::all(&mut *self.store.read().await?).await?;
        Ok(ImageList { images: images.into_iter().map(encode).collect() })
    }

    /// One image.
    pub async fn image(&self, image: &str) -> Result<Image, CloudError> {
        Ok(encode(find(&mut *self.store.read().await?, image).await?))
    }

    /// Copies a file of a host into a storage there.
    pub async fn import_image(
        self: &Arc<Self>,
        order: &Order,
        request: ImageRequest,
    ) -> Result<Task, CloudError> {
        names::check(&request.name)?;
        names::check_path(&request.source)?;
        let expected_sha256 = request.sha256.map(|text| text.to_ascii_lowercase());
        if let Some(text) = &expected_sha256
            && (text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(CloudError::invalid(format!("`{text}` is no SHA-256"), "give 64 hexadecimal digits"));
        }
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let storage = match &request.storage {
            Some(storage) => storage::find(&mut db, storage).await?,
            None => storage::only(&mut db).await?,
        };
        let id = Id::new();
        let image = store::image::Image {
            id,
            name: request.name.clone(),
            storage_id: storage.id,
            storage_name: storage.name,
            host_id: storage.host_id,
            path: format!("{}/images/{id}", storage.path),
            source: request.source,
            expected_sha256,
            format: None,
            size_bytes: None,
            sha256: None,
            phase: Word(Phase::Creating),
            created_ms: now_ms(),
        };
        store::image::insert(&mut db, &image).await.map_err(names::taken(Kind::Image, &image.name))?;
        let plan = Plan {
            action: Action::ImageImport,
            kind: Kind::Image,
            id,
            name: request.name,
            steps: vec![Step::ImportImage { image: id }],
            holds: Vec::new(),
        };
        self.plan(db, order, plan).await
    }

    /// Removes an image that nothing needs.
    pub async fn delete_image(self: &Arc<Self>, order: &Order, image: &str) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let image = find(&mut db, image).await?;
        free(&mut db, Kind::Image, image.id, &image.name).await?;
        let by = store::image::needed_by(&mut db, image.id).await?;
        if let Some(by) = by {
            return Err(CloudError::InUse { kind: Kind::Image, name: image.name, by });
        }
        store::image::stands(&mut db, image.id, Phase::Deleting).await?;
        let plan = Plan {
            action: Action::ImageDelete,
            kind: Kind::Image,
            id: image.id,
            name: image.name,
            steps: vec![Step::DeleteImage { image: image.id, was: image.phase.0 }],
            holds: Vec::new(),
        };
        self.plan(db, order, plan).await
    }
}

/// The image that a volume or drive is to use.
pub(super) async fn ready(
    db: &mut store::Connection,
    image: &str,
) -> Result<store::image::Image, CloudError> {
    let image = find(db, image).await?;
    if image.phase.0 == Phase::Ready {
        return Ok(image);
    }
    let message = format!("image `{}` is {}", image.name, image.phase.0);
    Err(CloudError::conflict(message, "wait until it is ready, or import it again"))
}

fn encode(image: store::image::Image) -> Image {
    Image {
        id: image.id.0,
        name: image.name,
        storage: image.storage_id.0,
        storage_name: image.storage_name,
        path: image.path,
        source: image.source,
        format: image.format.map(|format| format.0),
        size_bytes: image.size_bytes.map(i64::cast_unsigned),
        sha256: image.sha256,
        phase: image.phase.0,
        created_at_ms: image.created_ms,
    }
}
