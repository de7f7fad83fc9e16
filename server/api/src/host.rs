//! Hosts: `/api/v1/hosts`, and the host that the server runs on: `GET /api/v1/host/local`.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::about::Component;
use crate::vm::AccelChoice;
use crate::words::words;

/// A host of the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Address and port of its agent.
    pub address: String,
    /// True for the host that the server runs on.
    pub local: bool,
    /// Whether its agent answers.
    pub link: Link,
    /// What its agent said of it when it answered last.
    pub facts: Option<HostFacts>,
    /// When it was added.
    pub created_at_ms: i64,
}

/// Whether an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Whether it does.
    pub state: LinkState,
    /// Since when.
    pub since_ms: i64,
    /// Why it does not.
    pub reason: Option<String>,
}

words! {
    /// Whether an agent answers.
    LinkState {
        /// It has not been asked yet.
        Unknown = "unknown",
        /// It does.
        Connected = "connected",
        /// It does not.
        Disconnected = "disconnected",
    }
}

/// All hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostList {
    /// By name.
    pub hosts: Vec<Host>,
}

/// Asks for a token with which one host can join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// Seconds until it ends by itself, 60 to 604800; 3600 if left out.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
    /// Name or address, and port, by which the host reaches this server; as this request does if left out.
    #[serde(default)]
    pub server: Option<String>,
    /// The host that joins again, by id or name: it keeps its identity and all that lies on it, and has the address
    /// that it comes from. A new one if left out.
    #[serde(default)]
    pub host: Option<String>,
}

/// How a host is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRemoval {
    /// The name of the host, once more: then the server forgets all that lies on it, too, storages, images, volumes and
    /// virtual machines. Only for a host whose agent does not answer.
    #[serde(default)]
    pub forget: Option<String>,
}

/// A token with which one host can join.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenReply {
    /// What the agent is given. Nobody sees it again.
    pub token: String,
    /// When it ends by itself.
    pub expires_at_ms: i64,
    /// What root types on a Debian host that has nothing of Cairn's: it fetches the packed file from this server, sees that it
    /// is the right one, installs the agent, and joins. It holds the token.
    pub command: Option<String>,
    /// Why there is no such command.
    pub no_command: Option<String>,
    /// The same for a host to which the packed file was carried, as FILE.run.
    pub command_with_file: String,
}

/// Without the token.
impl fmt::Debug for JoinTokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinTokenReply").field("expires_at_ms", &self.expires_at_ms).finish_non_exhaustive()
    }
}

/// A host as its agent describes it. What the agent could not find out is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostFacts {
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
    /// The socket of libvirt that was found.
    pub libvirt_socket: Option<String>,
    /// What runs virtual machines there.
    pub hypervisor: Hypervisor,
    /// What `auto` means there where a virtual machine says what is to run its instructions.
    pub accel: AutoAccel,
    /// True if there is an image of UEFI.
    pub uefi: bool,
}

/// What runs virtual machines. One of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hypervisor {
    /// Names and versions, for people.
    pub version: Option<String>,
    /// Why there is nothing.
    pub reason: Option<String>,
}

/// What runs instructions where nothing else was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AutoAccel {
    /// What `auto` becomes.
    pub auto: AccelChoice,
    /// Why.
    pub reason: String,
}
