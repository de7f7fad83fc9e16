//! One look at one domain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent_libvirt::{Connection, DomainState, ErrorCode, PausedReason, ShutoffReason, XmlFlags};

use super::registry::{Registry, Seen};
use super::since;
use crate::domain::{self, Described};
use crate::state::State;

/// How long file systems have to tell what files are called.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks libvirt about a domain and keeps the answer. One that is gone, or not ours, is forgotten.
///
/// # Errors
/// libvirt's.
pub async fn at(
    registry: &Registry,
    connection: &Connection,
    handle: &agent_libvirt::Domain,
) -> Result<(), agent_libvirt::Error> {
    let _looking = registry.look().await;
    match ask(registry, connection, handle).await {
        Ok(Some(seen)) => registry.keep(seen),
        Ok(None) => registry.forget(handle.uuid),
        Err(Unseen::Libvirt(error)) if is_gone(&error) => registry.forget(handle.uuid),
        Err(Unseen::Libvirt(error)) => return Err(error),
        // Looking again would show the same.
        Err(Unseen::Strange(why)) => {
            tracing::warn!("cannot read libvirt's description of `{}`: {why}", handle.name);
            registry.forget(handle.uuid);
        }
    }
    Ok(())
}

/// True if libvirt says that there is no such domain.
pub fn is_gone(error: &agent_libvirt::Error) -> bool {
    error.remote().is_some_and(|error| error.code == ErrorCode::NoDomain)
}

enum Unseen {
    Libvirt(agent_libvirt::Error),
    Strange(String),
}

impl From<agent_libvirt::Error> for Unseen {
    fn from(error: agent_libvirt::Error) -> Self {
        Self::Libvirt(error)
    }
}

/// None if it is not ours.
async fn ask(
    registry: &Registry,
    connection: &Connection,
    handle: &agent_libvirt::Domain,
) -> Result<Option<Seen>, Unseen> {
    let xml = connection.domain_xml_desc(handle, XmlFlags::empty()).await?;
    let mut described = domain::read(&xml).map_err(|error| Unseen::Strange(error.to_string()))?;
    if described.mark.is_none() {
        return Ok(None);
    }
    let state = state(connection.domain_state(handle).await?);
    // What an agent that died was changing. It is shown as well as it can be known if that cannot be found out.
    if state.is_active()
        && !registry.is_changing(handle.uuid)
        && let Err(why) = since::find_out(registry, connection, handle, &xml, &mut described).await
    {
        tracing::warn!("cannot find out what was changed of `{}`: {why}", handle.name);
    }
    let taints = if state.is_active() { taints(connection, handle).await? } else { Vec::new() };
    let real_paths = if state.is_active() { real_paths(files(&described)).await } else { BTreeMap::new() };
    let handle = agent_libvirt::Domain { name: described.name.clone(), ..handle.clone() };
    Ok(Some(Seen { handle, state, described, taints, real_paths }))
}

fn files(described: &Described) -> Vec<PathBuf> {
    let disks = described.disks.iter().map(|at| at.disk.source.clone());
    disks.chain(described.drives.iter().filter_map(|at| at.media.clone())).collect()
}

/// What the kernel calls the files of a domain, where a link leads to them. It knows of a file system that hangs nothing but
/// the names that it was given; those are left as they are.
pub async fn real_paths(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, PathBuf> {
    let resolve = tokio::task::spawn_blocking(move || {
        let real = paths.into_iter().filter_map(|path| Some((path.canonicalize().ok()?, path)));
        real.filter(|(real, path)| real != path).map(|(real, path)| (path, real)).collect()
    });
    match tokio::time::timeout(PATIENCE, resolve).await {
        Ok(Ok(real)) => real,
        Ok(Err(_)) | Err(_) => BTreeMap::new(),
    }
}

async fn taints(
    connection: &Connection,
    handle: &agent_libvirt::Domain,
) -> Result<Vec<String>, agent_libvirt::Error> {
    match connection.domain_messages(handle, agent_libvirt::MessageFlags::TAINTING).await {
        // libvirt before 7.1 does not tell.
        Err(error)
            if error
                .remote()
                .is_some_and(|error| [ErrorCode::NoSupport, ErrorCode::Rpc].contains(&error.code)) =>
        {
            Ok(Vec::new())
        }
        told => told,
    }
}

/// libvirt's state as ours.
pub fn state(state: DomainState) -> State {
    match state {
        DomainState::Running(_) | DomainState::Blocked | DomainState::NoState | DomainState::Other { .. } => {
            State::Running
        }
        // Someone is starting it, which may yet fail; if it does not, an event will tell.
        DomainState::Paused(PausedReason::StartingUp) => State::Shutoff,
        DomainState::Paused(_) => State::Paused,
        DomainState::Shutdown(_) => State::Shutdown,
        DomainState::Shutoff(ShutoffReason::Crashed) | DomainState::Crashed(_) => State::Crashed,
        DomainState::Shutoff(_) => State::Shutoff,
        DomainState::PmSuspended => State::Pmsuspended,
    }
}
