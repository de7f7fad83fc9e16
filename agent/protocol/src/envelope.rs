//! What every call travels in: the version, the operation that it belongs to, and what is asked or answered.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which operation a request belongs to. The server chooses it and keeps it when it asks again, so that an agent can
/// tell a repeat from a second order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Uuid);

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<T> {
    /// [`VERSION`](crate::VERSION) of the server.
    pub protocol: u32,
    /// The operation.
    pub operation: OperationId,
    /// What is asked.
    pub arguments: T,
}

/// What the agent sends where it did what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply<T> {
    /// [`VERSION`](crate::VERSION) of the agent.
    pub protocol: u32,
    /// The operation of the request.
    pub operation: OperationId,
    /// The answer.
    pub result: T,
}

/// What the agent sends where it did not, with a status of 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// [`VERSION`](crate::VERSION) of the agent.
    pub protocol: u32,
    /// For programs.
    pub code: FailureCode,
    /// For people: what went wrong, with names, and what to do.
    pub message: String,
}

/// Kinds of failure that a server treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The two sides speak different versions of the protocol.
    Protocol,
    /// The request is not one that the call takes.
    Request,
    /// There is no such call.
    UnknownCall,
    /// The operation's id belongs to another request.
    OperationReused,
    /// What the request names is not there.
    NotFound,
    /// What the request would make is there already.
    Exists,
    /// What the request describes makes no sense.
    Invalid,
    /// This host cannot do that.
    Unsupported,
    /// It cannot be done as things stand.
    Conflict,
    /// The cache mode needs O_DIRECT, and the file system does not take it.
    DirectIo,
    /// A cache mode that may lose the disk is asked for, and nobody accepted the loss.
    LossNotAccepted,
    /// The guest did not do what it was asked to.
    GuestSilent,
    /// The file system is full.
    NoSpace,
    /// Nothing was done: the hypervisor is away, or the agent is being stopped. Send the same operation again later.
    Unavailable,
    /// The hypervisor went away in the middle of it: it may have been done, or a part of it. Send the same operation again
    /// later.
    Interrupted,
    /// The hypervisor tried and failed.
    Failed,
    /// The agent failed.
    Internal,
}
