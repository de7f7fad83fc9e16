//! What it takes to put one version in the place of another. Services that run are stopped once all that takes long is
//! done; those that did not run are not started. Nothing here touches a virtual machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use packaging_archive::PublicKey;

use crate::host::sha256_of;
use crate::install::plan::{folders, in_folder, is_started, name_of, new_folders};
use crate::layout::Layout;
use crate::receipt::{Previous, Receipt, Written, below_root, on_host};
use crate::source::Source;
use crate::transaction::{Context, Deed, Program, Step, backup, is_enabled, is_running, systemd};
use crate::trust;

/// What is to be changed.
pub struct Change<'a> {
    /// The verb.
    pub verb: &'static str,
    /// What the other version comes from.
    pub source: &'a Source,
    /// Keys that this host is to trust from now on.
    pub trust: &'a [PublicKey],
    /// What is installed.
    pub receipt: &'a Receipt,
    /// The backup that the server's data is to be restored from.
    pub restore: Option<PathBuf>,
}

/// A plan.
pub struct Plan {
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is cleared away afterwards.
    pub closing: Vec<Deed>,
    /// What stays as the operator made it, a line each.
    pub kept: Vec<String>,
}

/// Makes it.
///
/// # Errors
/// If a file cannot be read.
pub fn plan(context: &Context<'_>, change: &Change<'_>) -> Result<Plan> {
    let (layout, source, old) = (context.layout, change.source, change.receipt);
    let (manifest, role) = (source.manifest(), context.role);
    let mut receipt = Receipt::new(&manifest.product, &manifest.version, role);
    let mut steps = Vec::new();

    let mut folders = folders(layout);
    if role.server() {
        folders.push((layout.backups(), 0o700));
    }
    if !change.trust.is_empty() {
        folders.push((layout.trusted(), 0o755));
    }
    receipt.folders.clone_from(&old.folders);
    receipt.packages.clone_from(&old.packages);
    for folder in new_folders(layout, folders.iter().map(|(path, _)| path.as_path())) {
        if !receipt.folders.contains(&folder) {
            receipt.folders.push(folder);
        }
    }
    steps.extend(folders.into_iter().map(|(path, mode)| Step::MakeFolder { path, mode }));
    receipt.trusted.clone_from(&old.trusted);
    for key in change.trust {
        let to = trust::place(layout, key);
        receipt.trusted.push(on_host(layout, &to));
        steps.push(Step::TrustKey { pem: key.to_pem()?, to });
    }
    receipt.trusted.sort_unstable();
    receipt.trusted.dedup();

    let folder = layout.versions().join(&manifest.version);
    steps.push(Step::Unpack { folder: folder.clone() });
    if source.archive().is_some() {
        let to = layout.archives().join(format!("{}.run", manifest.version));
        receipt.archive = Some(on_host(layout, &to));
        steps.push(Step::KeepArchive { to });
    }
    let has_server = Program::Server.is_in(manifest, role);
    if has_server && change.restore.is_none() {
        steps.push(Step::JudgeData { folder });
    }

    let services = Services::of(context, change);
    steps.extend(services.running.iter().map(|unit| Step::Stop { unit: unit.clone() }));
    let data = layout.state().join("server");
    let backup = (has_server && data.is_dir()).then(|| backup::next(layout, &old.version));
    if let Some(folder) = &backup {
        steps.push(Step::BackUp { folder: folder.clone(), version: old.version.clone() });
    }
    let kept = configuration(context, change, &mut receipt, &mut steps);
    steps.push(Step::SwitchLink {
        link: layout.current(),
        version: manifest.version.clone(),
        backup: backup.clone(),
    });
    match (&change.restore, &backup) {
        (Some(from), Some(present)) => {
            steps.push(Step::RestoreBackup { from: from.clone(), present: present.clone() });
        }
        _ if has_server => steps.push(Step::Migrate),
        _ => (),
    }
    let programs: Vec<Program> =
        Program::ALL.into_iter().filter(|program| program.is_in(manifest, role)).collect();
    steps.extend(programs.iter().map(|program| Step::Bootstrap { program: *program }));

    units(context, change, &mut receipt, &mut steps);
    receipt.previous = Some(Previous {
        version: old.version.clone(),
        archive: old.archive.clone(),
        backup: backup.as_ref().map(|folder| on_host(layout, folder)),
    });
    steps.push(Step::WriteReceipt { receipt: Box::new(receipt.clone()) });
    steps.extend(services.enable.iter().map(|unit| Step::Enable { unit: unit.clone() }));
    steps.extend(services.start.iter().map(|unit| Step::Start { unit: unit.clone() }));
    let starts = |program: &Program| services.start.contains(&format!("{}.service", program.name()));
    steps.extend(programs.into_iter().filter(starts).map(|program| Step::CheckHealth { program }));

    let mut due = Vec::new();
    for step in steps {
        let always = matches!(
            step,
            Step::WriteConfiguration { .. } | Step::Start { .. } | Step::Stop { .. } | Step::Bootstrap { .. }
        );
        if always || !step.is_done(context, Some(old))? {
            due.push(step);
        }
    }
    Ok(Plan { steps: due, closing: closing(layout, old, &receipt), kept })
}

/// Units, as they are and as they will be.
struct Services {
    /// Those that run.
    running: Vec<String>,
    /// Those that will start at boot and do not yet.
    enable: Vec<String>,
    /// Those that will be started.
    start: Vec<String>,
}

impl Services {
    fn of(context: &Context<'_>, change: &Change<'_>) -> Self {
        let none = Self { running: Vec::new(), enable: Vec::new(), start: Vec::new() };
        if !context.start {
            return none;
        }
        let old: Vec<String> = change
            .receipt
            .units
            .iter()
            .filter_map(|unit| Some(unit.path.file_name()?.to_str()?.to_owned()))
            .collect();
        let running: Vec<String> = old.iter().filter(|unit| is_running(unit)).cloned().collect();
        let new: Vec<String> = in_folder(change.source, context.role, "systemd")
            .map(|entry| name_of(entry).to_owned())
            .filter(|unit| is_started(change.source, context.role, unit))
            .collect();
        // A service that comes with this version is treated as the others are.
        let is_new = |unit: &&String| !old.contains(unit);
        let any_enabled = old.iter().any(|unit| is_enabled(unit));
        Self {
            enable: new.iter().filter(|unit| any_enabled && is_new(unit)).cloned().collect(),
            start: new
                .iter()
                .filter(|unit| running.contains(unit) || (!running.is_empty() && is_new(unit)))
                .cloned()
                .collect(),
            running,
        }
    }
}

/// Default configuration. A file that nobody changed becomes what this version writes; of one that somebody did, the new
/// default is put beside it as `.new`, if it is another than before.
fn configuration(
    context: &Context<'_>,
    change: &Change<'_>,
    receipt: &mut Receipt,
    steps: &mut Vec<Step>,
) -> Vec<String> {
    let (layout, mut kept) = (context.layout, Vec::new());
    let written = |path: &Path| change.receipt.configuration.iter().find(|file| file.path == path);
    for entry in in_folder(change.source, context.role, "etc") {
        let to = layout.configuration().join(name_of(entry));
        let before = written(&on_host(layout, &to)).map(|file| &file.sha256);
        let found = sha256_of(&to).ok();
        receipt.configuration.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        if found.is_none() || (found.as_ref() == before && found.as_ref() != Some(&entry.sha256)) {
            steps.push(Step::WriteConfiguration { entry: entry.clone(), to });
        } else if found.as_ref() != Some(&entry.sha256) {
            let mut line = format!("keep {}, which was changed here", to.display());
            if change.verb == "upgrade" && before != Some(&entry.sha256) {
                let beside = to.with_added_extension("new");
                line = format!("{line}; the new default comes beside it as {}", beside.display());
                let path = on_host(layout, &beside);
                receipt.configuration.push(Written { path, sha256: entry.sha256.clone() });
                steps.push(Step::WriteConfiguration { entry: entry.clone(), to: beside });
            }
            kept.push(line);
        }
    }
    for file in &change.receipt.configuration {
        if receipt.configuration.iter().any(|new| new.path == file.path) {
            continue;
        }
        let path = below_root(layout, &file.path);
        match sha256_of(&path) {
            Ok(found) if found == file.sha256 => steps.push(Step::SetAside { path }),
            Ok(_) => {
                kept.push(format!("keep {}, which was changed here", path.display()));
                receipt.configuration.push(file.clone());
            }
            Err(_) => (),
        }
    }
    kept
}

fn units(context: &Context<'_>, change: &Change<'_>, receipt: &mut Receipt, steps: &mut Vec<Step>) {
    let layout = context.layout;
    for entry in in_folder(change.source, context.role, "systemd") {
        let to = layout.units().join(name_of(entry));
        receipt.units.push(Written { path: on_host(layout, &to), sha256: entry.sha256.clone() });
        steps.push(Step::WriteUnit { entry: entry.clone(), to });
    }
    let gone =
        change.receipt.units.iter().filter(|unit| receipt.units.iter().all(|new| new.path != unit.path));
    let gone: Vec<PathBuf> = gone.map(|unit| below_root(layout, &unit.path)).collect();
    let reload = (context.start && !gone.is_empty()).then_some(Step::Reload);
    for path in &gone {
        let unit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if context.start {
            steps.push(Step::Disable { unit });
        }
    }
    // Before and behind: whichever way it goes, systemd reads them when they are as they will be.
    steps.extend(reload.clone());
    // A version that does not know the timer would leave what systemd noted about it for ever.
    let names = gone.iter().filter_map(|path| path.file_name()?.to_str());
    let stamps: Vec<PathBuf> = names.filter_map(|unit| systemd::stamp(layout, unit)).collect();
    steps.extend(gone.into_iter().chain(stamps).map(|path| Step::SetAside { path }));
    steps.extend(reload);
}

/// What belongs to a version that neither runs now nor is the one to return to.
fn closing(layout: &Layout, old: &Receipt, new: &Receipt) -> Vec<Deed> {
    let Some(older) = &old.previous else { return Vec::new() };
    let backup = older.backup.iter().map(|folder| Deed::RemoveTree(below_root(layout, folder)));
    if older.version == new.version {
        return backup.collect();
    }
    let archive = older.archive.iter().map(|file| Deed::Remove(below_root(layout, file)));
    let folder = Deed::RemoveTree(layout.versions().join(&older.version));
    std::iter::once(folder).chain(archive).chain(backup).collect()
}
