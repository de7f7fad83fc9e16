//! One look at one domain.

use agent_libvirt::{Connection, DomainState, ErrorCode, PausedReason, ShutoffReason, XmlFlags};

use super::registry::{Registry, Seen};
use crate::domain;
use crate::state::State;

/// Asks libvirt about a domain and keeps the answer. One that is gone, or not ours, is forgotten.
///
/// # Errors
/// libvirt's, or that its description cannot be read; as a sentence.
pub async fn at(
    registry: &Registry,
    connection: &Connection,
    handle: &agent_libvirt::Domain,
) -> Result<(), String> {
    let _looking = registry.look().await;
    match ask(connection, handle).await {
        Ok(Some(seen)) => registry.keep(seen),
        Ok(None) => registry.forget(handle.uuid),
        Err(Unseen::Libvirt(error)) if is_gone(&error) => registry.forget(handle.uuid),
        Err(Unseen::Libvirt(error)) => return Err(error.to_string()),
        Err(Unseen::Strange(why)) => return Err(why),
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
async fn ask(connection: &Connection, handle: &agent_libvirt::Domain) -> Result<Option<Seen>, Unseen> {
    let xml = connection.domain_xml_desc(handle, XmlFlags::empty()).await?;
    let described = domain::read(&xml).map_err(|error| Unseen::Strange(error.to_string()))?;
    if described.mark.is_none() {
        return Ok(None);
    }
    let state = state(connection.domain_state(handle).await?);
    let taints = if state.is_active() { taints(connection, handle).await? } else { Vec::new() };
    let handle = agent_libvirt::Domain { name: described.name.clone(), ..handle.clone() };
    Ok(Some(Seen { handle, state, described, taints, reboots: 0 }))
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
