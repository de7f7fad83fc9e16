//! Why a call was not made or did not work: a code for programs and a sentence for people.

use agent_protocol::envelope::FailureCode;
use serde::{Deserialize, Serialize};

/// What the server hears instead of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// For programs.
    pub code: FailureCode,
    /// For people; ends with what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with a sentence that ends with what to do.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
