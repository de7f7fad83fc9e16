//! Whether the agents of all hosts are of this server's version, as they said when they last answered.

use std::path::Path;

use packaging_service::report::Check;
use packaging_stamp::Stamp;
use serde_json::Value;

use crate::store;

const NAME: &str = "hosts";

const REMEDY: &str = "run the installer of this server's release on each, and `cairnctl restart` where it is installed already";

/// Looks into the database at `path`. Nothing where there is none, or where this program does not know what it was built from.
pub async fn look(path: &Path, stamp: &Stamp) -> Option<Check> {
    let (reference, commit) = (stamp.value("ref"), stamp.value("commit")?);
    let agents = match store::agents(path).await {
        Ok(agents) => agents,
        Err(error) => {
            return Some(Check::warn(NAME, error.to_string(), "see `journalctl --unit cairn-server`"));
        }
    };
    let others: Vec<String> =
        agents.iter().filter_map(|(name, facts)| other(name, facts.as_deref()?, commit)).collect();
    let count = agents.len();
    match (others.is_empty(), count) {
        (_, 0) => None,
        (true, _) => Some(Check::pass(NAME, format!("no agent of {count} is of another version"))),
        (false, _) => {
            let ours = reference.unwrap_or(commit);
            let seen = format!(
                "the server is of {ours}, and {} of {count} agents are not: {}",
                others.len(),
                others.join(", ")
            );
            Some(Check::warn(NAME, seen, REMEDY))
        }
    }
}

/// A host whose agent was built from something else, with what that was. Whatever shape the facts of its version have.
fn other(name: &str, facts: &str, commit: &str) -> Option<String> {
    let facts: Value = serde_json::from_str(facts).ok()?;
    let agent = &facts["agent"];
    let theirs = agent["commit"].as_str().filter(|theirs| *theirs != commit)?;
    Some(format!("`{name}` ({})", agent["reference"].as_str().unwrap_or(theirs)))
}
