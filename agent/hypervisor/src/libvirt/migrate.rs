//! Whether a domain may migrate: by the modes that are in force, and by where its files lie.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::{Libvirt, refusal};
use crate::error::Error;
use crate::migration::{self, Migration, Reach};
use crate::mounts::Mounts;

/// How long file systems have to tell where files are.
const PATIENCE: Duration = Duration::from_secs(5);

impl Libvirt {
    pub(super) async fn judge_migration(&self, uuid: Uuid) -> Result<Migration, Error> {
        let connection = self.connection().await?;
        let domain = self.registry.domain(uuid).ok_or(Error::NoDomain { uuid })?;
        let version = connection.version().await;
        let version = version
            .map_err(|error| refusal::plain(&error, uuid, "ask libvirt for QEMU's version".to_owned()))?;
        let disks = domain.disks.iter().map(|disk| disk.source.clone());
        let media = domain.cdroms.iter().filter_map(|drive| Some(drive.media.as_ref()?.source.clone()));
        let files: Vec<PathBuf> = disks.chain(media).collect();
        let found = tokio::task::spawn_blocking(move || find(files));
        let failed = |cause: String| Error::Failed {
            what: format!("find out where the disks of `{}` lie", domain.name),
            cause,
            remedy: "check the file systems; one from the network may have lost its server".to_owned(),
        };
        let found = match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(found)) => found.map_err(|error| failed(error.to_string()))?,
            Ok(Err(ended)) => return Err(failed(ended.to_string())),
            Err(_) => return Err(failed(format!("no answer within {} seconds", PATIENCE.as_secs()))),
        };
        let opened = migration::opened(&domain, |path| match path.is_absolute() {
            true => found.get(path).copied().unwrap_or(Reach::Local),
            // What is no file is told as libvirt names it, and lies on the network.
            false => Reach::Network,
        });
        let drops_cache = migration::drops_cache(u64::from(version.major), u64::from(version.minor));
        Ok(Migration::of(opened, drops_cache))
    }
}

/// Where each of these files lies.
fn find(files: Vec<PathBuf>) -> std::io::Result<HashMap<PathBuf, Reach>> {
    let mounts = Mounts::now()?;
    let reach = |path: &PathBuf| {
        let real = path.canonicalize().ok()?;
        Some(migration::reach(&mounts.of(&real)?.file_system))
    };
    Ok(files
        .into_iter()
        .filter_map(|path| Some((reach(&path)?, path)))
        .map(|(reach, path)| (path, reach))
        .collect())
}
