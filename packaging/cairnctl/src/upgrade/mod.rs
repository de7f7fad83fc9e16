//! `upgrade` and `rollback`: one version in place of another. Both are the same [plan](plan), to a version that comes in a file or
//! to the one that was there before; what is different is who says what the data may be.

mod plan;

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;
use packaging_archive::Archive;

use crate::answer::Answer;
use crate::args::{ChangeArgs, HostArgs, RollbackArgs, UpgradeArgs};
use crate::exit::{Code, Exit};
use crate::install::{confirmed, no_terminal};
use crate::layout::Layout;
use crate::packages::Packages;
use crate::preflight;
use crate::receipt::{Previous, Receipt, below_root};
use crate::root::Root;
use crate::say::say;
use crate::source::Source;
use crate::transaction::{
    self, Context, Head, Interrupt, Settled, Wanted, ago, backup, is_booted, judge, may_change, settle,
};
use crate::trust::{Standing, Trust};
use crate::verify;
use plan::Change;

/// Runs `upgrade`.
///
/// # Errors
/// With the exit code that belongs to the failure; the old version is there again then, or the message says what is not.
pub fn upgrade(args: &UpgradeArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("upgrade");
    let done = upgraded(args, archive, quiet || args.change.json, &mut answer);
    answer.give(args.change.json, done)
}

fn upgraded(
    args: &UpgradeArgs,
    archive: Option<Archive>,
    quiet: bool,
    answer: &mut Answer,
) -> Result<&'static str> {
    let interrupt = Interrupt::new()?;
    let source = archive.map(|archive| Source::Archive(Box::new(archive)));
    let recovers = args.change.recovery.resume || args.change.recovery.undo;
    if source.is_none() && !recovers {
        let sentence = "nothing to upgrade to; run the new .run file: sh FILE upgrade";
        return Err(Exit::error(Code::Usage, sentence));
    }
    let root = find(&args.change.root)?;
    let layout = root.layout();
    let trust = Trust::new(layout, &args.trust)?;
    let standing = source.as_ref().map(|source| trust.judge(source.archive())).transpose()?;
    let wanted = Wanted {
        verb: "upgrade",
        to: source.as_ref().map(|source| source.manifest().version.as_str()),
        source: source.as_ref(),
        ask: !args.change.yes,
        dry_run: args.change.dry_run,
        password: None,
    };
    if let Some(state) = settled(layout, &args.change, &wanted, &interrupt, quiet)? {
        return Ok(state);
    }
    let Some(source) = source else { return Ok("nothing-to-do") };
    let receipt = installed(layout)?;
    let manifest = source.manifest();
    if receipt.product != manifest.product {
        let sentence = format!(
            "{} is installed here, and this is {}; use --root for a place of its own",
            receipt.product, manifest.product
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    (answer.from, answer.to) = (Some(receipt.version.clone()), Some(manifest.version.clone()));
    if receipt.version == manifest.version {
        if !quiet {
            say!(
                "{} {} is already installed; nothing to do (`install` mends it)",
                manifest.product,
                manifest.version
            );
        }
        return Ok("nothing-to-do");
    }
    let host = HostArgs {
        root: args.change.root.clone(),
        role: receipt.role,
        no_start: !(layout.is_host() && is_booted()),
        carried: args.carried,
    };
    let report = preflight::of(&host, manifest, true);
    report.show(quiet, args.change.json);
    if let Some(code) = report.code() {
        let sentence = "this host is not ready; mend what is marked FAIL above and try again";
        return Err(Exit::error(code, sentence));
    }
    let leave_out = args.carried.no_packages;
    let packages = Packages::with(&source, layout, receipt.role, leave_out, args.wait.patience())?;
    answer.packages = packages.as_ref().map(|packages| packages.plan.clone());
    let change = Change {
        verb: "upgrade",
        source: &source,
        trust: &trust.new_keys(),
        receipt: &receipt,
        restore: None,
    };
    carry_out(layout, &args.change, &change, packages.as_ref(), standing, &[], &interrupt, quiet, answer)
}

/// Runs `rollback`.
///
/// # Errors
/// As [`upgrade`]; exit code 8 if there is nothing to go back to, or if that version cannot read the data.
pub fn rollback(args: &RollbackArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("rollback");
    let done = rolled_back(args, quiet || args.change.json, &mut answer);
    answer.give(args.change.json, done)
}

fn rolled_back(args: &RollbackArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    let interrupt = Interrupt::new()?;
    let root = find(&args.change.root)?;
    let layout = root.layout();
    let wanted = Wanted {
        verb: "rollback",
        to: None,
        source: None,
        ask: !args.change.yes,
        dry_run: args.change.dry_run,
        password: None,
    };
    if let Some(state) = settled(layout, &args.change, &wanted, &interrupt, quiet)? {
        return Ok(state);
    }
    let receipt = installed(layout)?;
    let Some(previous) = &receipt.previous else {
        let sentence = format!("{} was not upgraded here; there is no version to return to", receipt.version);
        return Err(Exit::error(Code::Refused, sentence));
    };
    (answer.from, answer.to) = (Some(receipt.version.clone()), Some(previous.version.clone()));
    let source = kept(layout, previous, &receipt)?;
    let (restore, lost) = if args.restore_backup && receipt.role.server() {
        let (folder, lost) = lost(layout, previous)?;
        (Some(folder), vec![lost])
    } else {
        let folder = layout.versions().join(&previous.version);
        if receipt.role.server() && folder.is_dir() {
            judge(layout, &folder)?;
        }
        (None, Vec::new())
    };
    let change = Change { verb: "rollback", source: &source, trust: &[], receipt: &receipt, restore };
    carry_out(layout, &args.change, &change, None, None, &lost, &interrupt, quiet, answer)
}

/// The root, where something is installed.
fn find(root: &Path) -> Result<Root> {
    Root::find(root)?.ok_or_else(|| {
        let sentence = format!("nothing is installed below `{}`; use the verb `install`", root.display());
        Exit::error(Code::Usage, sentence)
    })
}

fn installed(layout: &Layout) -> Result<Receipt> {
    Receipt::installed(layout)?.ok_or_else(|| {
        let sentence =
            format!("nothing is installed below `{}`; use the verb `install`", layout.root().display());
        Exit::error(Code::Usage, sentence)
    })
}

/// Sees to a run that was interrupted. Says how this one ends, if it ends with that.
fn settled(
    layout: &Layout,
    args: &ChangeArgs,
    wanted: &Wanted<'_>,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<Option<&'static str>> {
    may_change(layout, args.dry_run)?;
    Ok(match settle(layout, &args.recovery, wanted, interrupt, quiet)? {
        Settled::Clear => None,
        Settled::Resumed => {
            if let (false, Some(receipt)) = (quiet, Receipt::installed(layout)?) {
                say!("{} {} is installed", receipt.product, receipt.version);
            }
            Some("done")
        }
        Settled::Undone => Some("undone"),
        Settled::Shown => Some("planned"),
    })
}

/// What the previous version was installed from: its archive, else its folder.
fn kept(layout: &Layout, previous: &Previous, receipt: &Receipt) -> Result<Source> {
    let archive = previous.archive.as_ref().map(|path| below_root(layout, path));
    let archive = archive.and_then(|path| Archive::open(path).ok());
    if let Some(archive) = archive.filter(|archive| archive.verify(&mut |_| ()).is_ok()) {
        return Ok(Source::Archive(Box::new(archive)));
    }
    let folder = layout.versions().join(&previous.version);
    let source = Source::folder(&folder)?;
    if !verify::version(&folder, source.manifest(), receipt.role)?.is_empty() {
        let sentence = format!(
            "`{}` is damaged, and the archive that it was installed from is not there; upgrade with the file of {}",
            folder.display(),
            previous.version
        );
        return Err(Exit::error(Code::Damaged, sentence));
    }
    Ok(source)
}

/// The backup that was taken before the upgrade, and what is lost with going back to it.
fn lost(layout: &Layout, previous: &Previous) -> Result<(std::path::PathBuf, String)> {
    let folder = previous.backup.as_ref().map(|path| below_root(layout, path));
    let found = folder.as_deref().map(backup::read).transpose()?.flatten();
    match (folder, found) {
        (Some(folder), Some(backup)) => {
            let lost = format!(
                "the server's data goes back to what it was {}, under {}; what was done since is lost to it, and kept in the new backup",
                ago(backup.taken),
                backup.version
            );
            Ok((folder, lost))
        }
        _ => {
            let sentence = "there is no backup from before the upgrade; leave out --restore-backup";
            Err(Exit::error(Code::Refused, sentence))
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the end of two verbs that have the rest in common")]
fn carry_out(
    layout: &Layout,
    args: &ChangeArgs,
    change: &Change<'_>,
    packages: Option<&Packages>,
    standing: Option<Standing>,
    lost: &[String],
    interrupt: &Interrupt,
    quiet: bool,
    answer: &mut Answer,
) -> Result<&'static str> {
    let (manifest, receipt) = (change.source.manifest(), change.receipt);
    change.source.check(receipt.role)?;
    let context = Context {
        layout,
        source: Some(change.source),
        role: receipt.role,
        start: layout.is_host() && is_booted(),
        password: None,
        secrets: std::cell::RefCell::new(None),
    };
    let mut plan = plan::plan(&context, change)?;
    answer.steps = plan.steps.iter().map(ToString::to_string).collect();
    answer.kept.clone_from(&plan.kept);
    let ask = !args.dry_run && !args.yes;
    if ask && !std::io::stdin().is_terminal() {
        return Err(no_terminal(false));
    }
    if !quiet {
        say!("{} of {} from {} to {}:", change.verb, manifest.product, receipt.version, manifest.version);
        if let Some(standing) = standing {
            standing.tell("  ");
        }
        lost.iter().chain(&plan.kept).for_each(|line| say!("  {line}"));
        if args.dry_run || ask {
            packages.into_iter().for_each(Packages::tell);
            plan.steps.iter().for_each(|step| say!("  {step}"));
        }
    }
    if args.dry_run {
        return Ok("planned");
    }
    if ask && !confirmed("Go on?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    if let Some(packages) = packages {
        packages.install_aloud(layout, quiet)?;
        // The record is another one now.
        let receipt = installed(layout)?;
        let change = Change { receipt: &receipt, restore: change.restore.clone(), ..*change };
        plan = plan::plan(&context, &change)?;
    }
    let head = Head {
        from: Some(receipt.version.clone()),
        to: Some(manifest.version.clone()),
        digest: Some(change.source.digest()),
        start: context.start,
        steps: plan.steps,
        closing: plan.closing,
        ..Head::new(change.verb, &manifest.product, receipt.role)
    };
    transaction::perform(&context, head, &std::collections::BTreeSet::new(), interrupt, quiet)?;
    if !quiet {
        say!("{} {} is installed", manifest.product, manifest.version);
        let root =
            if layout.is_host() { String::new() } else { format!(" --root {}", layout.root().display()) };
        say!("  back to {}: {}/bin/cairnctl rollback{root}", receipt.version, layout.current().display());
    }
    Ok("done")
}
