//! What an agent says of its host. Every fact is read when asked for; what cannot be read is absent, never zero. And how its
//! certificate is renewed before it ends.

use serde::{Deserialize, Serialize};

use crate::vm;

/// Asks for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsRequest {}

/// An agent and its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The program that answers.
    pub agent: Agent,
    /// Name of the host, as its kernel has it.
    pub host_name: Option<String>,
    /// Release of the running kernel.
    pub kernel: Option<String>,
    /// Seconds since the host started.
    pub uptime_seconds: Option<u64>,
    /// Processors.
    pub cpu: Cpu,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The socket of libvirt that was found.
    pub libvirt_socket: Option<String>,
    /// What runs virtual machines here.
    pub hypervisor: Hypervisor,
    /// What `auto` means here where a virtual machine says what is to run its instructions.
    pub accel: Accel,
    /// True if there is an image of UEFI.
    pub uefi: bool,
}

/// The program that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The ref it was built from; absent if built outside the toolchain.
    pub reference: Option<String>,
    /// The commit it was built from.
    pub commit: Option<String>,
    /// True if that tree had uncommitted changes.
    pub dirty: bool,
    /// Seconds since it started.
    pub uptime_seconds: u64,
}

/// Processors of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// What the first one calls itself.
    pub model: Option<String>,
    /// How many the kernel runs.
    pub count: Option<u32>,
}

/// What runs virtual machines. One of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hypervisor {
    /// Names and versions, for people: `libvirt 9.0.0, QEMU 7.2.22`.
    pub version: Option<String>,
    /// Why there is nothing.
    pub reason: Option<String>,
}

/// What runs instructions where nothing else was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accel {
    /// What `auto` becomes.
    pub auto: vm::Accel,
    /// Why.
    pub reason: String,
}

/// Asks for what a new certificate is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningRequest {}

/// What a new certificate is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningReply {
    /// A certificate signing request, PEM. Only its key counts.
    pub signing_request: String,
}

/// Brings a new certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The certificate for the key of the last signing request, PEM, for the names of the present one.
    pub certificate: String,
}
