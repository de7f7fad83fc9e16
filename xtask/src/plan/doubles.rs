//! What no archive may hold: two files of one name, or a file where others want a folder.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use packaging_archive::{EntryPath, MANIFEST};

use super::{Step, TOOLCHAIN};
use crate::failure::Failure;

/// Refuses steps that bring such files.
pub(super) fn refuse(steps: &[Step]) -> Result<()> {
    let table_of_contents = EntryPath::new(MANIFEST).map_err(Failure::usage)?;
    let mut owners: BTreeMap<&EntryPath, &str> = BTreeMap::from([(&table_of_contents, TOOLCHAIN)]);
    let mut folders: BTreeSet<&str> = BTreeSet::new();
    let brought = steps.iter().flat_map(|step| match step {
        Step::Stage { component, files, .. } => files.iter().map(|file| (&file.to, &**component)).collect(),
        Step::Describe { sbom, licenses, .. } => vec![(sbom, TOOLCHAIN), (licenses, TOOLCHAIN)],
        Step::Guest { set, image, .. } => vec![(image, &**set)],
        Step::Catalogue { os, index, record, .. } => vec![(index, &**os), (record, &**os)],
        Step::Tools { .. }
        | Step::CheckOut { .. }
        | Step::Compile(_)
        | Step::Crates(_)
        | Step::CheckStamp { .. }
        | Step::CheckLibc { .. }
        | Step::Inventory(_)
        | Step::Fetch { .. }
        | Step::Packages(_)
        | Step::Compress { .. }
        | Step::Assemble { .. }
        | Step::Again { .. }
        | Step::Attest { .. }
        | Step::Verify { .. } => Vec::new(),
    });
    for (to, component) in brought {
        if let Some(other) = owners.insert(to, component) {
            let sentence = format!("`{to}` is brought by {other} and by {component}; rename one of them");
            return Err(Failure::usage(sentence));
        }
        let path = to.as_str();
        folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    match owners.iter().find(|(path, _)| folders.contains(path.as_str())) {
        Some((path, owner)) => Err(Failure::usage(format!(
            "`{path}` of {owner} is a file, and others lie in it; rename one of them"
        ))),
        None => Ok(()),
    }
}
