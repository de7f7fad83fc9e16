//! What an installation consists of, in order, less what is done already.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use packaging_archive::Entry;

use super::program::Program;
use super::step::{Context, Step};
use crate::host::missing_folders;
use crate::layout::Layout;
use crate::receipt::{Receipt, Written, on_host};
use crate::source::entries_of;

/// The steps that are left to do.
///
/// # Errors
/// If the source cannot be read.
pub fn plan(context: &Context<'_>, before: Option<&Receipt>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for step in all(context, before) {
        if !step.is_done(context, before)? {
            steps.push(step);
        }
    }
    // What follows from others: a unit that changed has to be read, a program that changed has to be restarted.
    if steps.iter().all(|step| matches!(step, Step::CheckHealth { .. })) {
        steps.clear();
    }
    Ok(steps)
}

fn all(context: &Context<'_>, before: Option<&Receipt>) -> Vec<Step> {
    let (layout, manifest, role) = (context.layout, context.source.manifest(), context.role);
    let folders = [
        (layout.versions(), 0o755),
        (layout.configuration(), 0o755),
        (layout.state(), 0o755),
        (layout.archives(), 0o755),
        (layout.logs(), 0o750),
        (layout.units(), 0o755),
    ];
    let mut receipt = Receipt::new(&manifest.product, &manifest.version, role, context.start);
    receipt.folders = match before {
        Some(before) => before.folders.clone(),
        None => new_folders(layout, folders.iter().map(|(path, _)| path.as_path())),
    };
    let mut steps: Vec<Step> =
        folders.into_iter().map(|(path, mode)| Step::MakeFolder { path, mode }).collect();
    let mut configuration = Vec::new();
    for entry in in_folder(context, "etc") {
        let to = layout.configuration().join(name_of(entry));
        receipt.configuration.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        configuration.push(Step::WriteConfiguration { entry: entry.clone(), to });
    }
    let (mut units, mut starts) = (Vec::new(), Vec::new());
    for entry in in_folder(context, "systemd") {
        let to = layout.units().join(name_of(entry));
        receipt.units.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        units.push(Step::WriteUnit { entry: entry.clone(), to });
        if context.start && name_of(entry).ends_with(".service") {
            starts.push(Step::Enable { unit: name_of(entry).to_owned() });
            starts.push(Step::Start { unit: name_of(entry).to_owned() });
        }
    }
    steps.push(Step::WriteReceipt { receipt });
    steps.push(Step::Unpack { folder: layout.versions().join(&manifest.version) });
    if let Some(archive) = context.source.archive() {
        let to = layout.archives().join(format!("{}.run", manifest.version));
        steps.push(Step::KeepArchive { from: archive.path().to_owned(), to });
    }
    steps.extend(configuration);
    steps.push(Step::SwitchLink { link: layout.current(), version: manifest.version.clone() });
    let programs = Program::ALL.into_iter().filter(|program| program.is_in(context));
    steps.extend(programs.clone().map(|program| Step::Bootstrap { program }));
    steps.extend(units);
    steps.extend(starts);
    if context.start {
        steps.extend(programs.map(|program| Step::CheckHealth { program }));
    }
    steps
}

fn new_folders<'a>(layout: &Layout, folders: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let new: BTreeSet<PathBuf> =
        folders.flat_map(missing_folders).map(|path| on_host(layout, &path)).collect();
    new.into_iter().collect()
}

/// The entries directly in one of the archive's folders that a host of this role needs.
fn in_folder<'a>(context: &'a Context<'_>, folder: &'a str) -> impl Iterator<Item = &'a Entry> {
    entries_of(context.source.manifest(), context.role)
        .filter(move |entry| entry.path.as_str().rsplit_once('/').is_some_and(|(parent, _)| parent == folder))
}

fn name_of(entry: &Entry) -> &str {
    let path = entry.path.as_str();
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
