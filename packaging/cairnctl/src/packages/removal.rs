//! The way back for packages that came with this product: those that nothing else on the host needs, found and removed by the
//! host's own package manager. It is asked in a world in which they alone are there for others' sake, so that it says no word
//! about what else lies around.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::added::Added;
use super::apt::{self, Apt};
use super::{FOLDER, Folder};
use crate::exit::{Code, Exit};
use crate::host;

/// Packages that will be removed.
pub struct Removal {
    apt: Apt,
    /// Their names.
    pub names: BTreeSet<String>,
    purge: bool,
    _folder: Folder,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return f.write_str("remove no packages, since something else needs those that were installed");
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        write!(f, "remove {} packages: {}", names.len(), names.join(", "))
    }
}

impl Removal {
    /// Looks which of `added` nothing else needs. With `purge` their configuration goes, too. Somebody else may work on the
    /// host's packages for `patience`.
    ///
    /// # Errors
    /// Exit code 3 where there is no apt, 5 if another run is here or somebody goes on working on the host's packages.
    pub fn prepare(added: &Added, purge: bool, patience: Duration) -> Result<Self> {
        let folder = Folder::make(Path::new(FOLDER))?;
        let own = folder.path.join("apt");
        host::make_folder(&own, 0o755)?;
        let apt = Apt::new(&own, None, patience)?;
        let there = apt::installed()?;
        let ours: BTreeSet<&String> = added.installed.keys().filter(|name| there.contains(*name)).collect();
        let mut names = BTreeSet::new();
        if !ours.is_empty() {
            let architecture = apt::architecture()?;
            let mut states = String::new();
            for name in &ours {
                let _ =
                    write!(states, "Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n");
            }
            let said = apt.simulate_autoremove(&states)?;
            names = removed(&said).filter(|name| ours.contains(name)).collect();
        }
        Ok(Self { apt, names, purge, _folder: folder })
    }

    /// Removes them.
    ///
    /// # Errors
    /// Exit code 5 if somebody else works on the host's packages, 7 if the package manager fails, 8 if others would go with them.
    pub fn perform(&self) -> Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        if apt::unfinished()? {
            self.apt.finish()?;
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let said = self.apt.simulate_remove(&names)?;
        let others: Vec<String> = removed(&said).filter(|name| !self.names.contains(name)).collect();
        if !others.is_empty() {
            let sentence = format!(
                "removing packages would take others along: {}; remove with `apt-get` what you do not need any more",
                others.join(", ")
            );
            return Err(Exit::error(Code::Refused, sentence));
        }
        self.apt.remove(&names, self.purge)
    }
}

/// What a simulation removes, by name.
fn removed(simulation: &str) -> impl Iterator<Item = String> {
    let lines = simulation.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(what, _)| matches!(*what, "Remv" | "Purg"))
        .filter_map(|(_, rest)| Some(rest.split([' ', ':']).next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_go_is_read() {
        let said = "Reading package lists...\nRemv hyper [2.0-1]\nRemv lower:amd64 [1.5] [x ]\nPurg a [1]\nInst b (1 x)\n";
        assert_eq!(removed(said).collect::<Vec<_>>(), ["hyper", "lower", "a"]);
    }
}
