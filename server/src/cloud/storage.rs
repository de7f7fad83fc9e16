//! Storages: folders of hosts, looked at before they are added.

use std::time::Duration;

use agent_protocol::call::{FolderShow, FolderSurvey};
use agent_protocol::survey::Survey;
use agent_protocol::volume::{Folder, PathRequest};
use server_api::event::Kind;
use server_api::storage::{Storage, StorageList, StorageRequest};
use uuid::Uuid;

use super::host::QUESTION;
use super::{Begun, Cloud, CloudError, Order, find, finish, host, names, of_host};
use crate::agents::evidence;
use crate::store::{self, Connection, Id, now_ms};

/// How long an agent has to measure a folder.
const MEASURING: Duration = Duration::from_secs(20);

find!(find: storage, Storage, Storage);

impl Cloud {
    /// All storages, as they were when they were looked at last.
    pub async fn storages(&self) -> Result<StorageList, CloudError> {
        let mut db = self.store.read().await?;
        let mut storages = Vec::new();
        for storage in store::storage::all(&mut db).await? {
            storages.push(encode(&mut db, storage).await?);
        }
        Ok(StorageList { storages })
    }

    /// One storage. It is looked at again, unless its host does not answer.
    pub async fn storage(&self, storage: &str) -> Result<Storage, CloudError> {
        let storage = find(&mut *self.store.read().await?, storage).await?;
        if let Err(error) = self.look_at(&storage).await {
            tracing::info!("storage `{}` is shown as it was: {error}", storage.name);
        }
        self.shown(storage.id).await
    }

    async fn shown(&self, id: Id) -> Result<Storage, CloudError> {
        let mut db = self.store.read().await?;
        let storage = find(&mut db, &id.to_string()).await?;
        encode(&mut db, storage).await
    }

    /// Measures what a storage is worth for disks, which takes seconds.
    pub async fn check_storage(&self, storage: &str) -> Result<Storage, CloudError> {
        let storage = find(&mut *self.store.read().await?, storage).await?;
        let host = store::host::by_id(&mut *self.store.read().await?, storage.host_id).await?;
        let gone = || CloudError::NotFound { kind: Kind::Host, name: storage.host_id.to_string() };
        let measured = self.measure(&host.ok_or_else(gone)?, storage.path).await;
        let noted = measured.as_ref().map(Clone::clone).map_err(ToString::to_string);
        let mut db = self.store.write().await?;
        store::storage::surveyed(&mut db, storage.id, noted).await?;
        db.commit().await?;
        measured?;
        self.shown(storage.id).await
    }

    async fn measure(&self, host: &store::host::Host, path: String) -> Result<Survey, CloudError> {
        let agent = self.agents.of(host).map_err(of_host(&host.name))?;
        let survey = agent.call::<FolderSurvey>(Uuid::new_v4(), PathRequest { path }, MEASURING).await;
        survey.map_err(of_host(&host.name))
    }

    /// Adds a storage, once its folder was looked at.
    pub async fn create_storage(
        &self,
        order: &Order,
        request: StorageRequest,
    ) -> Result<Storage, CloudError> {
        names::check(&request.name)?;
        names::check_path(&request.path)?;
        if let Some(reply) = self.repeated(order).await? {
            return Ok(reply);
        }
        let mut db = self.store.read().await?;
        let host = match &request.host {
            Some(host) => host::find(&mut db, host).await?,
            None => only_host(&mut db).await?,
        };
        drop(db);
        let folder = self.folder(&host, request.path.clone()).await?;
        // Made here, so that no later order meets a storage without them.
        for part in ["images", "volumes"] {
            self.folder(&host, format!("{}/{part}", request.path)).await?;
        }
        // A folder that cannot be measured is one all the same.
        let measured = self.measure(&host, request.path.clone()).await.map_err(|error| error.to_string());
        let mut db = match self.begin(order).await? {
            Begun::Answered(reply) => return Ok(reply),
            Begun::Fresh(db) => db,
        };
        let now = now_ms();
        let storage = store::storage::Storage {
            id: Id::new(),
            name: request.name,
            host_id: host.id,
            host_name: host.name,
            path: request.path,
            file_system: folder.file_system,
            capacity_bytes: folder.capacity_bytes.cast_signed(),
            available_bytes: folder.available_bytes.cast_signed(),
            seen_ms: now,
            created_ms: now,
            survey: None,
            surveyed_ms: None,
            survey_failure: None,
        };
        if store::storage::by_name(&mut db, &storage.name).await?.is_some() {
            return Err(CloudError::NameTaken { kind: Kind::Storage, name: storage.name });
        }
        let others = store::storage::of_host(&mut db, host.id).await?;
        if let Some(other) = others.iter().find(|other| other.path == storage.path) {
            let message = format!("`{}` of that host is storage `{}` already", storage.path, other.name);
            return Err(CloudError::conflict(message, "choose another folder"));
        }
        store::storage::insert(&mut db, &storage).await?;
        store::storage::surveyed(&mut db, storage.id, measured).await?;
        let stored = store::storage::by_id(&mut db, storage.id).await?.unwrap_or(storage);
        let storage = encode(&mut db, stored).await?;
        finish(db, order, &storage).await?;
        Ok(storage)
    }

    /// Removes a storage in which nothing lies. Its folder stays.
    pub async fn delete_storage(&self, order: &Order, storage: &str) -> Result<(), CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(()) => return Ok(()),
            Begun::Fresh(db) => db,
        };
        let storage = find(&mut db, storage).await?;
        let deleted = store::storage::delete(&mut db, storage.id).await;
        match deleted {
            Ok(()) => finish(db, order, &()).await,
            Err(error) if error.is_referred_to() => {
                let by = "images or volumes lie in it".to_owned();
                Err(CloudError::InUse { kind: Kind::Storage, name: storage.name, by })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at a storage and notes what it offers.
    pub(crate) async fn look_at(&self, storage: &store::storage::Storage) -> Result<(), CloudError> {
        let host = store::host::by_id(&mut *self.store.read().await?, storage.host_id).await?;
        let gone = || CloudError::NotFound { kind: Kind::Host, name: storage.host_id.to_string() };
        let folder = self.folder(&host.ok_or_else(gone)?, storage.path.clone()).await?;
        let mut db = self.store.write().await?;
        store::storage::seen(&mut db, storage.id, &folder).await?;
        Ok(db.commit().await?)
    }

    async fn folder(&self, host: &store::host::Host, path: String) -> Result<Folder, CloudError> {
        let agent = self.agents.of(host).map_err(of_host(&host.name))?;
        let folder = agent.call::<FolderShow>(Uuid::new_v4(), PathRequest { path }, QUESTION).await;
        folder.map_err(of_host(&host.name))
    }
}

async fn only_host(db: &mut Connection) -> Result<store::host::Host, CloudError> {
    let mut hosts = store::host::all(db).await?;
    match (hosts.pop(), hosts.is_empty()) {
        (Some(host), true) => Ok(host),
        (Some(_), false) => {
            Err(CloudError::invalid("there is more than one host", "say on which one the folder is: `host`"))
        }
        (None, _) => Err(CloudError::conflict("there is no host", "let one join first: `cairn host token`")),
    }
}

/// The only storage there is.
pub(super) async fn only(db: &mut Connection) -> Result<store::storage::Storage, CloudError> {
    let mut storages = store::storage::all(db).await?;
    match (storages.pop(), storages.is_empty()) {
        (Some(storage), true) => Ok(storage),
        (Some(_), false) => {
            Err(CloudError::invalid("there is more than one storage", "say which one: `storage`"))
        }
        (None, _) => {
            Err(CloudError::conflict("there is no storage", "add one first: `cairn storage create`"))
        }
    }
}

async fn encode(db: &mut Connection, storage: store::storage::Storage) -> Result<Storage, CloudError> {
    let check = storage.survey().map(|(survey, at_ms)| evidence::check(survey, at_ms));
    Ok(Storage {
        cache: store::cache::set(db, storage.id).await?,
        check,
        check_failure: storage.survey_failure,
        id: storage.id.0,
        name: storage.name,
        host: storage.host_id.0,
        host_name: storage.host_name,
        path: storage.path,
        file_system: storage.file_system,
        capacity_bytes: storage.capacity_bytes.cast_unsigned(),
        available_bytes: storage.available_bytes.cast_unsigned(),
        seen_at_ms: storage.seen_ms,
        created_at_ms: storage.created_ms,
    })
}
