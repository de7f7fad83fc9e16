//! Who did what: `GET /api/v1/audit`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Something that somebody asked for, or a task that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its identity.
    pub id: Uuid,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: a user, `token NAME`, or `unknown` where somebody tried to come in under a name that nobody has.
    pub who: String,
    /// The address that it was asked from; absent where the server did it.
    pub address: Option<String>,
    /// What, such as `login`, `vm start`, or `task vm_start` for a task that ended.
    pub action: String,
    /// To what; empty if to nothing in particular.
    pub subject: String,
    /// What came of it: `ok`, `accepted` for what a task does, a task's last state, or the code of the error.
    pub outcome: String,
}

/// Entries of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Those before the one with this id; from the newest on if left out.
    #[serde(default)]
    pub before: Option<Uuid>,
    /// How many, 1 to 1000; 100 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}
