//! `GET /api/v1/host/local`.

use std::sync::Arc;

use agent_protocol::call::HostFacts;
use agent_protocol::host::{Facts, FactsRequest, Virtualization};
use axum::Json;
use axum::extract::State;
use server_api::about::Component;
use server_api::host::{Host, Kvm};

use super::problem::Problem;
use super::session::Session;
use crate::run::Server;

pub async fn local(State(server): State<Arc<Server>>, _: Session) -> Result<Json<Host>, Problem> {
    let facts = server.local_agent.call::<HostFacts>(FactsRequest {}).await?;
    Ok(Json(encode(facts)))
}

/// What an agent says, as the public hears it.
fn encode(facts: Facts) -> Host {
    let kvm = kvm(&facts);
    Host {
        agent: Component {
            reference: facts.agent.reference,
            commit: facts.agent.commit,
            dirty: facts.agent.dirty,
        },
        agent_uptime_seconds: facts.agent.uptime_seconds,
        name: facts.host_name,
        kernel: facts.kernel,
        uptime_seconds: facts.uptime_seconds,
        cpu_model: facts.cpu.model,
        cpu_count: facts.cpu.count,
        memory_bytes: facts.memory_bytes,
        kvm,
        libvirt_socket: facts.libvirt_socket,
    }
}

/// A `/dev/kvm` on a processor without the feature is there and hangs guests: both are needed.
fn kvm(facts: &Facts) -> Kvm {
    let feature = facts.cpu.virtualization.map(|feature| match feature {
        Virtualization::Vmx => "vmx",
        Virtualization::Svm => "svm",
    });
    match (facts.kvm.opens, feature) {
        (true, Some(feature)) => {
            Kvm { usable: true, reason: format!("`/dev/kvm` opens and the processor has {feature}") }
        }
        (true, None) => {
            let reason = "`/dev/kvm` opens, but the processor shows neither vmx nor svm".to_owned();
            Kvm { usable: false, reason }
        }
        (false, _) => {
            let why = facts.kvm.reason.as_deref().unwrap_or("no reason given");
            Kvm { usable: false, reason: format!("`/dev/kvm` does not open: {why}") }
        }
    }
}
