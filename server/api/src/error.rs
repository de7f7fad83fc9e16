//! How every request that fails is answered, with a status of 4xx or 5xx.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::words;

/// A failure, for the program and the person that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorReply {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what went wrong, in one sentence.
    pub message: String,
    /// What it came from, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

words! {
    /// Every kind of failure.
    ErrorCode {
        /// The request is malformed.
        BadRequest = "bad_request",
        /// User or password are wrong.
        BadCredentials = "bad_credentials",
        /// There is no session, or it ended.
        NoSession = "no_session",
        /// The token for joining is wrong, used or too old.
        BadToken = "bad_token",
        /// There is nothing at this path, or the resource is not there.
        NotFound = "not_found",
        /// The path does not take this method.
        MethodNotAllowed = "method_not_allowed",
        /// Another one has this name.
        NameTaken = "name_taken",
        /// A task works on it.
        Busy = "busy",
        /// Something else needs it.
        InUse = "in_use",
        /// It cannot be done as things stand.
        Conflict = "conflict",
        /// What the request describes makes no sense.
        Invalid = "invalid",
        /// The idempotency key belongs to another request.
        KeyReused = "key_reused",
        /// A checksum is not the one that was expected.
        ChecksumMismatch = "checksum_mismatch",
        /// The guest did not do what it was asked to.
        GuestSilent = "guest_silent",
        /// The file system of the host is full.
        NoSpace = "no_space",
        /// The host cannot do that.
        Unsupported = "unsupported",
        /// The cache mode needs O_DIRECT, and the file system does not take it.
        DirectIo = "direct_io",
        /// A cache mode that may lose the disk is asked for, and nobody accepted the loss.
        LossNotAccepted = "loss_not_accepted",
        /// The host tried and failed.
        HostFailed = "host_failed",
        /// The task was cancelled.
        Cancelled = "cancelled",
        /// Too many failures from this address.
        TooManyAttempts = "too_many_attempts",
        /// This host has no agent.
        NoAgent = "no_agent",
        /// The agent does not answer, or not as it should.
        AgentUnreachable = "agent_unreachable",
        /// The dashboard's files are missing.
        DashboardMissing = "dashboard_missing",
        /// It took too long.
        Timeout = "timeout",
        /// The server failed.
        Internal = "internal",
    }
}
