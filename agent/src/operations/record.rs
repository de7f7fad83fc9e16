//! What is kept of one operation, as it lies in its file.

use agent_protocol::VERSION;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::refusal::Refusal;

/// Version of the file. A reader refuses any other.
pub const FORMAT: u32 = 1;

/// One operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id.
    pub operation: Uuid,
    /// Name of the call, and behind an `@` the version of the protocol that it came in: only agents of that version write
    /// arguments alike, and can use the answer. Agents of versions 1 and 2 wrote the name alone.
    pub call: String,
    /// SHA-256 of the request's arguments, as this agent writes them, in hexadecimal.
    pub request_sha256: String,
    /// When it was first started, in seconds since 1970.
    pub started_at: u64,
    /// How far it got.
    pub progress: Progress,
}

/// How far an operation got.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Progress {
    /// Its work may have got anywhere.
    Started,
    /// The hypervisor was away, or the order is one of another version of the protocol. A repeat tries again.
    Postponed {
        /// When, in seconds since 1970.
        at: u64,
    },
    /// It has its answer.
    Finished {
        /// When, in seconds since 1970.
        at: u64,
        /// The answer.
        outcome: Outcome,
    },
}

/// An answer that does not change any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done; this is the call's reply, kept as text so that a repeat gets the same bytes.
    Reply(Box<RawValue>),
    /// It was not.
    Refused(Refusal),
}

/// Enough of any version's file to see which it is.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Record {
    /// Reads the content of the file of `operation`.
    ///
    /// # Errors
    /// With the complaint, if it is torn, or another's.
    pub fn parse(bytes: &[u8], operation: Uuid) -> Result<Self, String> {
        let version: Version = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if version.format != FORMAT {
            return Err(format!("it has format {}, and this agent reads {FORMAT}", version.format));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if record.operation == operation {
            Ok(record)
        } else {
            Err(format!("it is about the operation {}", record.operation))
        }
    }

    /// A call as it is recorded.
    #[must_use]
    pub fn call(name: &str) -> String {
        format!("{name}@{VERSION}")
    }

    /// Name of the call.
    #[must_use]
    pub fn name(&self) -> &str {
        self.call.split_once('@').map_or(self.call.as_str(), |(name, _)| name)
    }

    /// Whether it came in another version of the protocol than this agent speaks.
    #[must_use]
    pub fn is_of_another_version(&self) -> bool {
        self.call != Self::call(self.name())
    }

    /// When it ended, in seconds since 1970. None while it may be under way.
    #[must_use]
    pub const fn ended_at(&self) -> Option<u64> {
        match self.progress {
            Progress::Started => None,
            Progress::Postponed { at } | Progress::Finished { at, .. } => Some(at),
        }
    }
}
