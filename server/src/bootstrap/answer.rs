//! The answer of `bootstrap --json`. Its words are fixed in `packaging/control-contract.md`.

use std::path::PathBuf;

use serde::Serialize;

/// The answer of `bootstrap --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// Version of the contract.
    pub contract: u32,
    /// Files and folders that were made.
    pub created: Vec<PathBuf>,
    /// Files and folders that were there.
    pub kept: Vec<PathBuf>,
    /// The administrator.
    pub admin: Admin,
    /// Where the dashboard will be.
    pub url: String,
}

/// The administrator, in the answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Name.
    pub user: String,
    /// Whether it is new.
    pub state: AdminState,
    /// The password that was made here; this is the only time that anybody sees it.
    pub password: Option<String>,
}

/// Whether the administrator is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// Made now.
    Created,
    /// Was there.
    Kept,
}
