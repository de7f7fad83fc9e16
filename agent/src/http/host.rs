//! Calls about the host.

use std::sync::Arc;

use agent_hypervisor::Attempt;
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::{Facts, FactsRequest, RenewRequest, SigningReply, SigningRequest};
use agent_protocol::vm::Done;

use crate::refusal::Refusal;
use crate::run::Agent;

pub async fn facts(agent: Arc<Agent>, _: FactsRequest) -> Result<Facts, Refusal> {
    agent.facts().await
}

pub async fn signing_request(agent: Arc<Agent>, _: SigningRequest) -> Result<SigningReply, Refusal> {
    agent.renewal.signing_request()
}

pub async fn renew(agent: Arc<Agent>, request: RenewRequest, attempt: Attempt) -> Result<Done, Refusal> {
    let work = move || agent.renewal.renew(&agent.layout, request, attempt);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let message = format!("the certificate was not renewed: {error}; report this");
        Err(Refusal::new(FailureCode::Internal, message))
    })
}
