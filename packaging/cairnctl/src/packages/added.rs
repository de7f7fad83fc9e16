//! Which packages of the host's operating system came with this product: what `uninstall` names, and may remove. It is a part of
//! the receipt, and is written there before the package manager begins, so that a run that is killed is remembered too.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::host;
use crate::layout::Layout;
use crate::receipt::{Receipt, on_host};
use crate::role::Role;

/// What was added to the host's packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// What the host did not have: name and version.
    pub installed: BTreeMap<String, String>,
    /// What it had in an older version: name, that version and the one that came.
    pub upgraded: BTreeMap<String, (String, String)>,
}

impl Added {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.installed.is_empty() && self.upgraded.is_empty()
    }

    /// Takes in what a plan does.
    fn take(&mut self, plan: &Plan) {
        for (name, version) in &plan.install {
            self.installed.insert(name.clone(), version.clone());
        }
        for (name, (old, new)) in &plan.upgrade {
            if let Some(version) = self.installed.get_mut(name) {
                version.clone_from(new);
            } else {
                let before = self.upgraded.get(name).map_or(old, |(before, _)| before).clone();
                self.upgraded.insert(name.clone(), (before, new.clone()));
            }
        }
    }

    /// What stays on the host, a line for each kind.
    pub fn lines(&self) -> Vec<String> {
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let mut lines = Vec::new();
        if !self.installed.is_empty() {
            let names = names(self.installed.keys().collect());
            lines.push(format!("{} packages that were installed: {names}", self.installed.len()));
        }
        if !self.upgraded.is_empty() {
            let names = names(self.upgraded.keys().collect());
            lines.push(format!("{} packages that were made newer: {names}", self.upgraded.len()));
        }
        lines
    }
}

/// Writes what a plan will do into the receipt. Where nothing is installed there is one afterwards that says no more than this.
///
/// # Errors
/// If it cannot be read or written; nothing has been done then.
pub fn note(layout: &Layout, plan: &Plan, product: &str, version: &str, role: Role) -> Result<()> {
    let mut receipt = match Receipt::read(layout)? {
        Some(receipt) => receipt,
        None => Receipt { removed: true, ..Receipt::new(product, version, role) },
    };
    for folder in host::make_folders(&layout.state())? {
        receipt.folders.push(on_host(layout, &folder));
    }
    receipt.packages.take(plan);
    host::write_whole(&layout.receipt(), &receipt.json()?, 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(install: &[(&str, &str)], upgrade: &[(&str, &str, &str)]) -> Plan {
        let text = |text: &&str| (*text).to_owned();
        Plan {
            install: install.iter().map(|(name, version)| (text(name), text(version))).collect(),
            upgrade: upgrade.iter().map(|(name, old, new)| (text(name), (text(old), text(new)))).collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn it_is_remembered_without_an_installation_and_added_up() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let note = |plan: &Plan| note(&layout, plan, "cairn", "1", Role::Agent).unwrap();
        note(&plan(&[("a", "1"), ("b", "1")], &[("libc6", "2", "3")]));
        let receipt = Receipt::read(&layout).unwrap().unwrap();
        assert!(receipt.removed && receipt.folders.contains(&"/var/lib/cairn".into()));
        // A later file brings more, and newer ones.
        note(&plan(&[("c", "1")], &[("a", "1", "2"), ("libc6", "3", "4")]));
        let added = Receipt::read(&layout).unwrap().unwrap().packages;
        assert_eq!(
            added.lines(),
            ["3 packages that were installed: a, b, c", "1 packages that were made newer: libc6"]
        );
        assert_eq!(
            (added.installed["a"].as_str(), &added.upgraded["libc6"]),
            ("2", &("2".into(), "4".into()))
        );
    }

    #[test]
    fn the_receipt_of_an_installation_stays_what_it_was() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        host::make_folders(&layout.state()).unwrap();
        let receipt = Receipt::new("cairn", "1", Role::All);
        host::write_whole(&layout.receipt(), &receipt.json().unwrap(), 0o644).unwrap();
        note(&layout, &plan(&[("a", "1")], &[]), "cairn", "2", Role::Agent).unwrap();
        let mut noted = Receipt::read(&layout).unwrap().unwrap();
        assert_eq!(std::mem::take(&mut noted.packages).installed.len(), 1);
        assert_eq!(noted, receipt);
    }
}
