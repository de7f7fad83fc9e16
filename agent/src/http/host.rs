//! Calls about the host.

use std::sync::Arc;

use agent_protocol::host::{Facts, FactsRequest};

use crate::refusal::Refusal;
use crate::run::Agent;

pub async fn facts(agent: Arc<Agent>, _: FactsRequest) -> Result<Facts, Refusal> {
    agent.facts().await
}
