//! A host: `GET /api/v1/host/local`.

use serde::{Deserialize, Serialize};

use crate::about::Component;

/// A host as its agent describes it. What the agent could not find out is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The agent.
    pub agent: Component,
    /// Seconds since the agent started.
    pub agent_uptime_seconds: u64,
    /// Name of the host.
    pub name: Option<String>,
    /// Release of the running kernel.
    pub kernel: Option<String>,
    /// Seconds since the host started.
    pub uptime_seconds: Option<u64>,
    /// What the processor calls itself.
    pub cpu_model: Option<String>,
    /// How many processors run.
    pub cpu_count: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Whether guests can use the processor directly.
    pub kvm: Kvm,
    /// The socket of libvirt that was found.
    pub libvirt_socket: Option<String>,
}

/// Whether guests can use the processor directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kvm {
    /// True if `/dev/kvm` opens and the processor shows a feature for virtual machines.
    pub usable: bool,
    /// Why, or why not.
    pub reason: String,
}
