//! Which domain has a file: any of the host, on or off, ours or somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agent_libvirt::{Connection, ListFlags, XmlFlags};
use uuid::Uuid;

use super::below;
use crate::domain::{self, Named};
use crate::error::Error;
use crate::libvirt::{look, refusal};
use crate::spec::Format;

/// The name of a domain that has a file as it runs, or from its next start on, or that lies on it, however far down. A file
/// counts by whatever names links give it.
pub(super) async fn user(connection: &Connection, path: &Path) -> Result<Option<String>, Error> {
    let what = || "list the domains".to_owned();
    let domains = connection.list_all_domains(ListFlags::empty()).await;
    let mut users = Vec::new();
    for domain in domains.map_err(|error| refusal::first(&error, Uuid::nil(), what()))? {
        let named = named(connection, &domain).await?;
        users.push((domain.name, named));
    }
    let paths: BTreeSet<PathBuf> =
        users.iter().flat_map(|(_, named)| named.iter().map(|one| one.path.clone())).collect();
    let real = look::real_paths(paths.into_iter().chain([path.to_owned()]).collect()).await;
    let is_it = |one: &Path| resolved(&real, one) == resolved(&real, path);
    if let Some((name, _)) = users.iter().find(|(_, named)| named.iter().any(|one| is_it(&one.path))) {
        return Ok(Some(name.clone()));
    }
    for (name, named) in users {
        // What a raw file starts with is its guest's, and means nothing here.
        for one in named.into_iter().filter(|one| one.format == Some(Format::Qcow2)) {
            let under = match below(&one.path, Format::Qcow2).await {
                // Then it does not start, and lies on nothing.
                Err(Error::NoVolume { .. }) => continue,
                under => under?,
            };
            let real = look::real_paths(
                under.iter().map(|under| under.path.clone()).chain([path.to_owned()]).collect(),
            )
            .await;
            if under.iter().any(|under| resolved(&real, &under.path) == resolved(&real, path)) {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// The files of one domain, by both its descriptions; none if it is gone by now.
async fn named(connection: &Connection, domain: &agent_libvirt::Domain) -> Result<Vec<Named>, Error> {
    let mut named = Vec::new();
    for flags in [XmlFlags::empty(), XmlFlags::INACTIVE] {
        match connection.domain_xml_desc(domain, flags).await {
            Ok(xml) => named.extend(domain::files(&xml)?),
            Err(error) if look::is_gone(&error) => return Ok(Vec::new()),
            Err(error) => {
                let what = format!("read the description of `{}`", domain.name);
                return Err(refusal::first(&error, domain.uuid, what));
            }
        }
    }
    Ok(named)
}

fn resolved<'a>(real: &'a BTreeMap<PathBuf, PathBuf>, path: &'a Path) -> &'a Path {
    real.get(path).map_or(path, PathBuf::as_path)
}
