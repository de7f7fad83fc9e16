//! `restore`: the backup is checked to its last byte and judged by the installed server, in a folder of its own, before anything is
//! changed. Then it is a transaction: what there is goes into a backup that stays, the server is stopped, data and configuration
//! are put back, and it has to become healthy with them. What lies here and not in the backup stays.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::all;
use crate::answer::Answer;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::operate::Installed;
use crate::operate::args::RestoreArgs;
use crate::operate::change::{Change, Plan};
use crate::preflight::utc;
use crate::snapshot::{self, Kept, Record};
use crate::transaction::{Deed, KNOWN_BEFORE, Program, Step, ago, backup, data_of, inspect, is_running};

/// How many of those backups are kept that a restore makes of what there was before.
const KEPT_BEFORE: usize = 3;

/// Runs the verb.
///
/// # Errors
/// Exit code 2 for a damaged backup, 8 for one that the installed version cannot read.
pub fn restore(args: &RestoreArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("restore");
    let done = restored(args, quiet || args.change.json, &mut answer);
    answer.give(args.change.json, done)
}

fn restored(args: &RestoreArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    let change = Change {
        verb: answer.verb,
        root: &args.change.root,
        recovery: &args.change.recovery,
        dry_run: args.change.dry_run,
        question: (!args.change.yes)
            .then_some("Go on? What was done since is lost to the server, and kept in a backup."),
        quiet,
    };
    let held = match change.begin()? {
        Ok(held) => held,
        Err(state) => return Ok(state),
    };
    let Some(file) = &args.file else { return Ok("nothing-to-do") };
    let installed = &held.installed;
    let file = find(&installed.layout, file)?;
    let record = snapshot::unpack(&file, None)?;
    if record.product != installed.receipt.product {
        let sentence =
            format!("this is a backup of {}; use one of {}", record.product, installed.receipt.product);
        return Err(Exit::error(Code::Refused, sentence));
    }
    judge(installed, &file, &record)?;
    let plan = plan(installed, &file, &record);
    Ok(held.carry_out(plan, answer)?.state)
}

/// A file, the name of one in the installation's own folder, or the newest there.
fn find(layout: &Layout, wanted: &Path) -> Result<PathBuf> {
    let own = layout.backups();
    let none = || {
        let sentence = format!(
            "there is no backup `{}`; `cairnctl backup list` names those that there are",
            wanted.display()
        );
        Exit::error(Code::Usage, sentence)
    };
    let found = if wanted == Path::new("latest") {
        let whole = all(&own).into_iter().rfind(|backup| backup.configuration);
        whole.map(|backup| backup.path).ok_or_else(none)?
    } else if wanted.is_file() {
        std::path::absolute(wanted)?
    } else {
        own.join(wanted)
    };
    if found.is_dir() {
        let sentence = format!(
            "`{}` is a copy that an upgrade made; `cairnctl rollback --restore-backup` returns to it",
            found.display()
        );
        return Err(Exit::error(Code::Usage, sentence));
    }
    if found.is_file() { Ok(found) } else { Err(none()) }
}

/// Has the installed server look at what it would find.
fn judge(installed: &Installed, file: &Path, record: &Record) -> Result<()> {
    let layout = &installed.layout;
    if !installed.receipt.role.server() {
        return Ok(());
    }
    let folder = host::Passing::make(host::beside(&layout.state().join("restore")))?;
    snapshot::unpack(file, Some(folder.path()))?;
    let found = inspect(&Layout::new(folder.path()), &layout.current())?;
    let version = &installed.receipt.version;
    if let Some(why) = found.as_ref().and_then(|found| found.configuration.as_ref()) {
        let why = why.replace(
            &*folder.path().to_string_lossy(),
            layout.root().to_string_lossy().trim_end_matches('/'),
        );
        let sentence = format!("{version} does not take the configuration of this backup: {why}");
        return Err(Exit::error(Code::Refused, sentence));
    }
    let (applied, known) = match &found {
        Some(found) => (found.applied, found.known),
        None => (record.migration, KNOWN_BEFORE),
    };
    match applied {
        Some(applied) if applied > known => {
            let sentence = format!(
                "{version} cannot read this backup, which {} has made: its database has migration {applied}, and the installed server knows {known}; upgrade first",
                record.version
            );
            Err(Exit::error(Code::Refused, sentence))
        }
        Some(_) | None => Ok(()),
    }
}

fn plan(installed: &Installed, file: &Path, record: &Record) -> Plan {
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let mut plan = Plan::default();
    let folder = layout.backups().join("unpacked");
    let present = backup::next(layout, &receipt.version);
    let newest = numbers(layout).last().copied().unwrap_or(0);
    let kept = named(layout, newest.saturating_add(1));
    let data = record.files.iter().any(|kept| kept.path.starts_with(snapshot::SERVER));
    let data = data && receipt.role.server();
    let changed: Vec<&Kept> = record.files.iter().filter(|kept| is_other(layout, kept)).collect();
    plan.notes.push(format!(
        "the backup is of {} ({}), version {}, every byte as it was kept",
        utc(record.taken),
        ago(record.taken),
        record.version
    ));
    if data {
        plan.notes.push(
            "the server's data goes back to what it was then: hosts that were removed and tokens that were revoked since are \
             there again, sessions and join tokens are not"
                .to_owned(),
        );
    }
    plan.notes
        .extend(changed.iter().map(|kept| format!("differs: {}", layout.root().join(&kept.path).display())));

    let is_of = |program: Program| match program {
        Program::Server => data || changed.iter().any(|kept| !is_agents(&kept.path)),
        Program::Agent => changed.iter().any(|kept| is_agents(&kept.path) || is_authority(&kept.path)),
    };
    let running: Vec<Program> = Program::of(receipt.role)
        .filter(|program| installed.has_services() && is_running(&program.unit()) && is_of(*program))
        .collect();
    let own = !layout.backups().is_dir();
    if own {
        plan.steps.push(Step::MakeFolder { path: layout.backups(), mode: 0o700 });
    }
    plan.steps.extend(running.iter().rev().map(|program| Step::Stop { unit: program.unit() }));
    plan.steps.push(Step::KeepPresent { file: kept.clone(), receipt: Box::new(receipt.clone()) });
    plan.steps.push(Step::UnpackBackup { file: file.to_owned(), folder: folder.clone() });
    if data {
        plan.steps.push(Step::BackUp { folder: present.clone(), version: receipt.version.clone() });
        plan.steps.push(Step::RestoreBackup { from: data_of(&folder), present: present.clone() });
    }
    for kept in &changed {
        let to = layout.root().join(&kept.path);
        let above = to.parent().filter(|above| !above.is_dir()).map(Path::to_owned);
        if let Some(path) = above {
            let made = Step::MakeFolder { path, mode: 0o700 };
            if !plan.steps.contains(&made) {
                plan.steps.push(made);
            }
        }
        plan.steps.push(Step::ReplaceFile { from: folder.join(&kept.path), to, mode: kept.mode });
    }
    if data {
        plan.steps.push(Step::Migrate);
    }
    plan.steps.extend(running.iter().map(|program| Step::Start { unit: program.unit() }));
    plan.steps.extend(running.iter().map(|program| Step::CheckHealth { program: *program }));
    plan.closing = vec![Deed::RemoveTree(folder), Deed::RemoveTree(present)];
    let old = older(layout);
    plan.notes.extend(old.iter().map(|path| format!("removed when all is done: {}", path.display())));
    plan.closing.extend(old.into_iter().map(Deed::Remove));
    plan.notes.push(format!("what there is now is kept in {}", kept.display()));
    plan
}

/// What there was before a restore, by its number.
fn named(layout: &Layout, number: u32) -> PathBuf {
    layout.backups().join(format!("before-restore-{number}.tar.gz"))
}

/// The numbers of those that there are, in their order: the last one is the newest.
fn numbers(layout: &Layout) -> Vec<u32> {
    let names = std::fs::read_dir(layout.backups()).into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("before-restore-")?.strip_suffix(".tar.gz")?.parse::<u32>().ok()
    });
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Those that are too many once there is another one.
fn older(layout: &Layout) -> Vec<PathBuf> {
    let numbers = numbers(layout);
    let many = (numbers.len() + 1).saturating_sub(KEPT_BEFORE);
    numbers.into_iter().take(many).map(|number| named(layout, number)).collect()
}

/// A file of the configuration that is another one here, or not there. The server's data is put back as a whole.
fn is_other(layout: &Layout, kept: &Kept) -> bool {
    !kept.path.starts_with(snapshot::SERVER)
        && !host::sha256_of(&layout.root().join(&kept.path)).is_ok_and(|sha256| sha256 == kept.sha256)
}

fn is_agents(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "agent")
}

fn is_authority(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "ca")
}
