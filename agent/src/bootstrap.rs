//! `cairn-agent bootstrap`: the folders that an agent needs. Certificates are not its business: on the host of the
//! server, `cairn-server bootstrap` makes them; any other host is joined.

use std::path::PathBuf;

use packaging_service::command;
use packaging_service::exit::Exit;
use packaging_service::files::{Access, create_folder};
use packaging_service::layout::Layout;
use packaging_service::report::CONTRACT;
use serde::Serialize;

use crate::error::Error;
use crate::link;

/// The answer of `bootstrap --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// Version of the contract.
    pub contract: u32,
    /// Folders that were made.
    pub created: Vec<PathBuf>,
    /// Folders that were there.
    pub kept: Vec<PathBuf>,
    /// True if this agent has certificates.
    pub joined: bool,
}

/// Makes what is missing.
///
/// # Errors
/// [`Error::Create`].
pub fn bootstrap(layout: &Layout) -> Result<Bootstrap, Error> {
    let folders = [
        (layout.config_folder(), Access::Public),
        (layout.tls_folder(), Access::Private),
        (layout.agent_data(), Access::Private),
    ];
    let (mut created, mut kept) = (Vec::new(), Vec::new());
    for (folder, access) in folders {
        if create_folder(&folder, access)? { created.push(folder) } else { kept.push(folder) }
    }
    Ok(Bootstrap { contract: CONTRACT, created, kept, joined: link::is_joined(layout) })
}

/// The command.
///
/// # Errors
/// As [`bootstrap`].
pub fn run(layout: &Layout, json: bool) -> Result<Exit, Error> {
    let done = bootstrap(layout)?;
    if json {
        command::answer_json(&done)?;
    } else {
        for folder in &done.created {
            command::answer(&format_args!("created {}", folder.display()))?;
        }
        let joined = if done.joined { "joined" } else { "waiting to be joined" };
        command::answer(&format_args!("ready; {joined}"))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_makes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let first = bootstrap(&layout).unwrap();
        assert_eq!((first.created.len(), first.kept.len(), first.joined), (3, 0, false));
        let second = bootstrap(&layout).unwrap();
        assert_eq!((second.created.len(), second.kept), (0, first.created));
    }
}
