//! How every request that fails is answered, with a status of 4xx or 5xx.

use serde::{Deserialize, Serialize};

/// A failure, for the program and the person that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Every kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed.
    BadRequest,
    /// User or password are wrong.
    BadCredentials,
    /// There is no session, or it ended.
    NoSession,
    /// There is nothing at this path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// Too many failures from this address.
    TooManyAttempts,
    /// This host has no agent.
    NoAgent,
    /// The agent does not answer, or not as it should.
    AgentUnreachable,
    /// The dashboard's files are missing.
    DashboardMissing,
    /// It took too long.
    Timeout,
    /// The server failed.
    Internal,
}
