//! The certificates of agents, renewed before they end, over the channel that server and agent have. The agent makes the key
//! and asks for a certificate; it gets one for the names of its present one, and shows it from the next connection on.

use std::time::{Duration, SystemTime};

use agent_protocol::call::{HostRenew, HostSigningRequest};
use agent_protocol::host::{RenewRequest, SigningRequest};
use packaging_service::tls::certificate;
use thiserror::Error;
use uuid::Uuid;

use super::{Agent, AgentError};
use crate::bootstrap::names::Address;
use crate::bootstrap::{self, BootstrapError, issue};
use crate::cloud::Cloud;
use crate::store::host::Host;

/// How long an agent has for each part of it.
const LIMIT: Duration = Duration::from_secs(30);

/// Why a certificate was not renewed.
#[derive(Debug, Error)]
pub enum RenewalError {
    /// The agent does not answer, or refuses.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// None can be made.
    #[error(transparent)]
    Issue(#[from] BootstrapError),
    /// What the agent shows cannot be read.
    #[error("cannot read what the agent shows: {0}")]
    Strange(String),
}

/// Renews the certificate of an agent if it wants that at `now`. True if it was renewed.
///
/// # Errors
/// If it cannot be; the present one is as good as it was.
pub async fn look(cloud: &Cloud, host: &Host, agent: &Agent, now: SystemTime) -> Result<bool, RenewalError> {
    let present = agent.certificate(LIMIT).await?;
    let facts = certificate::facts(&present).map_err(RenewalError::Strange)?;
    if !facts.wants_renewal(now) {
        return Ok(false);
    }
    let (common_name, names) = if host.is_local {
        ("cairn-agent".to_owned(), facts.names.iter().filter_map(|name| name.parse().ok()).collect())
    } else {
        (host.id.to_string(), vec![Address::Name(host.id.to_string())])
    };
    let asked = agent.call::<HostSigningRequest>(Uuid::new_v4(), SigningRequest {}, LIMIT).await?;
    let authority = bootstrap::authority(cloud.layout())?;
    let certificate = issue::sign(&authority, &asked.signing_request, &common_name, &names);
    let certificate = certificate.map_err(BootstrapError::Issue)?;
    agent.call::<HostRenew>(Uuid::new_v4(), RenewRequest { certificate }, LIMIT).await?;
    tracing::info!("the certificate of host `{}` was renewed", host.name);
    Ok(true)
}
