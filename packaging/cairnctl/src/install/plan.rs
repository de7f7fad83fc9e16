//! What an installation consists of, in order, less what is done already.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use packaging_archive::Entry;

use crate::host::{self, missing_folders};
use crate::layout::Layout;
use crate::receipt::{Receipt, Written, on_host};
use crate::role::Role;
use crate::source::{Source, entries_of};
use crate::transaction::{Context, Program, Step, is_running};
use crate::trust;
use packaging_archive::PublicKey;

/// What is to be installed.
pub struct New<'a> {
    /// Where, as what.
    pub context: &'a Context<'a>,
    /// From what.
    pub source: &'a Source,
    /// Keys that this host is to trust from now on.
    pub trust: &'a [PublicKey],
    /// Whether the root was made for this run.
    pub root_is_new: bool,
}

/// The steps that are left to do. `left` is the record of an earlier installation, or of one that was removed.
///
/// # Errors
/// If the source cannot be read.
pub fn plan(new: &New<'_>, left: Option<&Receipt>) -> Result<Vec<Step>> {
    let (context, before) = (new.context, left.filter(|receipt| !receipt.removed));
    let mut steps = Vec::new();
    let mut renewed = false;
    for step in all(new, left, before)? {
        // A service whose program or unit is replaced has to be restarted, though it runs.
        let is_due = match &step {
            Step::Start { .. } => renewed || !step.is_done(context, before)?,
            Step::CheckHealth { .. } => !steps.is_empty(),
            Step::Unpack { .. }
            | Step::SwitchLink { .. }
            | Step::WriteUnit { .. }
            | Step::Bootstrap { .. } => {
                let is_due = !step.is_done(context, before)?;
                renewed |= is_due;
                is_due
            }
            _ => !step.is_done(context, before)?,
        };
        if is_due {
            steps.push(step);
        }
    }
    // A service that runs and is restarted: the old one runs again when all else has been put back.
    let restarted: Vec<Step> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Start { unit } if is_running(unit) => Some(Step::KeepRunning { unit: unit.clone() }),
            _ => None,
        })
        .collect();
    steps.splice(0..0, restarted);
    Ok(steps)
}

/// The folders of an installation, with their modes.
pub fn folders(layout: &Layout) -> Vec<(PathBuf, u32)> {
    vec![
        (layout.versions(), 0o755),
        (layout.configuration(), 0o755),
        (layout.state(), 0o755),
        (layout.archives(), 0o755),
        (layout.logs(), 0o750),
        (layout.units(), 0o755),
    ]
}

/// Those of a list that are not there, with those above them, as the record names them.
pub fn new_folders<'a>(layout: &Layout, folders: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let new: BTreeSet<PathBuf> =
        folders.flat_map(missing_folders).map(|path| on_host(layout, &path)).collect();
    new.into_iter().collect()
}

/// Configuration that is not what this version would write: the operator's, which stays as it is.
pub fn foreign_configuration(new: &New<'_>) -> Vec<PathBuf> {
    in_folder(new.source, new.context.role, "etc")
        .map(|entry| (new.context.layout.configuration().join(name_of(entry)), &entry.sha256))
        .filter(|(path, sha256)| host::sha256_of(path).is_ok_and(|found| found != **sha256))
        .map(|(path, _)| path)
        .collect()
}

fn all(new: &New<'_>, left: Option<&Receipt>, before: Option<&Receipt>) -> Result<Vec<Step>> {
    let (context, source) = (new.context, new.source);
    let (layout, manifest, role) = (context.layout, source.manifest(), context.role);
    let mut folders = folders(layout);
    if !new.trust.is_empty() {
        folders.push((layout.trusted(), 0o755));
    }
    let mut receipt = Receipt::new(&manifest.product, &manifest.version, role);
    receipt.folders = match left {
        Some(left) => left.folders.clone(),
        None if new.root_is_new => vec![PathBuf::from("/")],
        None => Vec::new(),
    };
    for folder in new_folders(layout, folders.iter().map(|(path, _)| path.as_path())) {
        if !receipt.folders.contains(&folder) {
            receipt.folders.push(folder);
        }
    }
    let kept = source.archive().map(|_| layout.archives().join(format!("{}.run", manifest.version)));
    receipt.archive = match &kept {
        Some(to) => Some(on_host(layout, to)),
        // What an earlier installation of this version has kept stays.
        None => before.and_then(|before| before.archive.clone()),
    };
    receipt.previous = before.and_then(|before| before.previous.clone());
    receipt.packages = left.map(|left| left.packages.clone()).unwrap_or_default();
    let mut keys = Vec::new();
    receipt.trusted = left.map(|left| left.trusted.clone()).unwrap_or_default();
    for key in new.trust {
        let to = trust::place(layout, key);
        receipt.trusted.push(on_host(layout, &to));
        keys.push(Step::TrustKey { pem: key.to_pem()?, to });
    }
    receipt.trusted.sort_unstable();
    receipt.trusted.dedup();
    let mut steps: Vec<Step> =
        folders.into_iter().map(|(path, mode)| Step::MakeFolder { path, mode }).collect();
    let mut configuration = Vec::new();
    for entry in in_folder(source, role, "etc") {
        let to = layout.configuration().join(name_of(entry));
        receipt.configuration.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        configuration.push(Step::WriteConfiguration { entry: entry.clone(), to });
    }
    // What an upgrade has put beside a changed file, or left of it.
    let others = before.iter().flat_map(|before| &before.configuration);
    let own = receipt.configuration.clone();
    receipt.configuration.extend(others.filter(|file| own.iter().all(|own| own.path != file.path)).cloned());
    let (mut units, mut starts) = (Vec::new(), Vec::new());
    for entry in in_folder(source, role, "systemd") {
        let to = layout.units().join(name_of(entry));
        receipt.units.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        units.push(Step::WriteUnit { entry: entry.clone(), to });
        if context.start && is_started(source, role, name_of(entry)) {
            starts.push(Step::Enable { unit: name_of(entry).to_owned() });
            starts.push(Step::Start { unit: name_of(entry).to_owned() });
        }
    }
    steps.push(Step::WriteReceipt { receipt: Box::new(receipt) });
    steps.extend(keys);
    steps.push(Step::Unpack { folder: layout.versions().join(&manifest.version) });
    steps.extend(kept.map(|to| Step::KeepArchive { to }));
    steps.extend(configuration);
    steps.push(Step::SwitchLink { link: layout.current(), version: manifest.version.clone(), backup: None });
    let programs = Program::ALL.into_iter().filter(|program| program.is_in(manifest, role));
    steps.extend(programs.clone().map(|program| Step::Bootstrap { program }));
    steps.extend(units);
    steps.extend(starts);
    if context.start {
        steps.extend(programs.map(|program| Step::CheckHealth { program }));
    }
    Ok(steps)
}

/// The entries directly in one of the archive's folders that a host of this role needs.
pub fn in_folder<'a>(source: &'a Source, role: Role, folder: &'a str) -> impl Iterator<Item = &'a Entry> {
    entries_of(source.manifest(), role)
        .filter(move |entry| entry.path.as_str().rsplit_once('/').is_some_and(|(parent, _)| parent == folder))
}

/// Whether a unit is started for its own sake: a timer, or a service that no timer starts.
pub fn is_started(source: &Source, role: Role, unit: &str) -> bool {
    let timed = |name: &str| in_folder(source, role, "systemd").any(|entry| name_of(entry) == name);
    match unit.rsplit_once('.') {
        Some((_, "timer")) => true,
        Some((name, "service")) => !timed(&format!("{name}.timer")),
        _ => false,
    }
}

/// The name of an entry's file.
pub fn name_of(entry: &Entry) -> &str {
    let path = entry.path.as_str();
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
