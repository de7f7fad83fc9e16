//! Calls about the host.

use std::sync::Arc;

use agent_protocol::envelope::FailureCode;
use agent_protocol::host::{Facts, FactsRequest};

use super::call::Refusal;
use crate::run::Agent;

pub async fn facts(agent: Arc<Agent>, _: FactsRequest) -> Result<Facts, Refusal> {
    tokio::task::spawn_blocking(move || agent.facts()).await.map_err(|error| {
        Refusal::new(FailureCode::Internal, format!("cannot read the facts of this host: {error}; ask again"))
    })
}
