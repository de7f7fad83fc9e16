//! Transactions: what `install`, `upgrade`, `rollback` and `uninstall` do to a host, with a way back.
//!
//! A verb makes a plan of [`Step`]s. Here the plan is written to the [`Journal`], its steps are done one after another, and
//! when all of them hold, the health of the services among them, that is committed and what is left over is cleared away. A
//! step that fails, or a signal, has all steps taken back, last first. Who was killed is followed by [`settle`], which goes on
//! or takes back. What a step does stands in [`step`], how it is taken back in [`deed`].

pub mod backup;
mod deed;
pub mod fault;
mod interrupt;
mod journal;
mod peek;
mod program;
mod settle;
mod step;
pub mod systemd;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use crate::exit::{Code, Exit, code_of};
use crate::host;
use crate::layout::Layout;
use crate::say::{self, say};

pub use deed::Deed;
pub use interrupt::Interrupt;
pub use journal::{Head, Journal, ago, now};
pub use peek::{Pending, pending};
pub use program::{Admin, HealthCheck, KNOWN_BEFORE, Program, Secrets, copy_database, inspect, judge};
pub use settle::{Settled, Wanted, settle};
pub use step::{Context, Step, data_of};
pub use systemd::{is_booted, is_enabled, is_idle, is_running};

/// Sees that this user may change the host.
///
/// # Errors
/// Exit code 3 for anybody but the superuser.
pub fn may_change(layout: &Layout, dry_run: bool) -> Result<()> {
    if layout.is_host() && !dry_run && !rustix::process::geteuid().is_root() {
        return Err(Exit::error(Code::Unsupported, "this needs the superuser; run it again as root"));
    }
    Ok(())
}

/// Does a plan, from its journal to its end. `going` are folders that will not be there any more.
///
/// # Errors
/// With the exit code that belongs to the failure; everything has been put back then, or the message says what was not.
pub fn perform(
    context: &Context<'_>,
    head: Head,
    going: &BTreeSet<PathBuf>,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<()> {
    interrupt.only_note();
    fault::point()?;
    journal::sweep(context.layout)?;
    context.layout.written().iter().try_for_each(|folder| host::sweep(folder))?;
    let journal = Journal::begin(context.layout, head, going)
        .map_err(|error| Exit::error(code_of(&error), format!("{error:#}{}", remedy(code_of(&error)))))?;
    if let Err(error) = fault::point() {
        return Err(roll_back(&error, journal));
    }
    forward(context, journal, 0, interrupt, quiet)
}

/// Does the steps from `first` on, and all that follows.
fn forward(
    context: &Context<'_>,
    mut journal: Journal,
    first: usize,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<()> {
    let steps = journal.head.steps.clone();
    for (number, step) in steps.iter().enumerate().skip(first) {
        if !quiet {
            say::begin(format_args!("  {step} ... "));
        }
        let done = one(context, &mut journal, number, step).and_then(|()| interrupt.check());
        if !quiet {
            say!("{}", if done.is_ok() { "ok" } else { "failed" });
        }
        if let Err(error) = done {
            let error = if interrupt.came() { Interrupt::error() } else { error };
            return Err(roll_back(&error.context(format!("failed: {step}")), journal));
        }
    }
    if let Err(error) = fault::point().and_then(|()| journal.commit()) {
        return Err(roll_back(&error, journal));
    }
    close(journal)
}

fn one(context: &Context<'_>, journal: &mut Journal, number: usize, step: &Step) -> Result<()> {
    fault::point()?;
    let undo = step.undo(context)?;
    journal.doing(number, undo)?;
    fault::point()?;
    step.act(context)?;
    fault::point()?;
    journal.done(number)
}

/// Takes back the steps from `first` on, last first. Goes on where one cannot be, and returns what cannot.
fn take_back(journal: &Journal, first: usize) -> Vec<String> {
    let deeds = journal.begun.iter().rev().filter(|begun| begun.step >= first);
    let deeds = deeds.flat_map(|begun| begun.undo.iter().rev());
    deeds
        .filter_map(|deed| fault::point().and_then(|()| deed.apply()).err())
        .map(|error| format!("{error:#}"))
        .collect()
}

/// Takes everything back, and the journal with it.
///
/// # Errors
/// Exit code 7 with what could not be put back. The journal stays then, for another try.
fn undo(mut journal: Journal) -> Result<()> {
    // On a disk that is full this may fail, and is not worth to stop for.
    let _ = journal.undoing();
    let failures = take_back(&journal, 0);
    if !failures.is_empty() {
        let sentence = format!(
            "not everything could be put back: {}\nmend that, and run it again: it goes on with this first",
            failures.join("\n")
        );
        return Err(Exit::error(Code::Failed, sentence));
    }
    fault::point()?;
    journal.remove()
}

fn roll_back(error: &anyhow::Error, journal: Journal) -> anyhow::Error {
    if let Err(failures) = undo(journal) {
        return Exit::error(Code::Failed, format!("{error:#}\n{failures:#}"));
    }
    // What says more than that it failed is kept.
    let code = match code_of(error) {
        code @ (Code::NoSpace | Code::Damaged | Code::Interrupted | Code::Refused | Code::Locked) => code,
        _ => Code::RolledBack,
    };
    Exit::error(code, format!("{error:#}{}\neverything was put back as it was", remedy(code)))
}

/// What to do about a failure, where its code says that.
fn remedy(code: Code) -> &'static str {
    if code == Code::NoSpace { "; make room there, and run it again" } else { "" }
}

/// Clears away what is left over once all steps hold.
///
/// # Errors
/// If something cannot be removed; the journal stays then, for another try.
fn close(journal: Journal) -> Result<()> {
    let undo = journal.begun.iter().flat_map(|begun| &begun.undo);
    let left_over: Vec<Deed> = undo.filter_map(Deed::left_over).collect();
    for deed in left_over.iter().chain(&journal.head.closing) {
        let done = fault::point().and_then(|()| deed.apply());
        done.map_err(|error| {
            let sentence = format!(
                "{} is done, but not all was cleared away: {error:#}; mend that, and run it again",
                journal.head.what()
            );
            Exit::error(Code::Failed, sentence)
        })?;
    }
    fault::point()?;
    // The folder that the journal lies in may be the last that has to go.
    let folder = journal.path().parent().map(std::path::Path::to_owned);
    let is_going = folder.clone().is_some_and(|folder| journal.head.closing.contains(&Deed::Remove(folder)));
    journal.remove()?;
    match folder {
        Some(folder) if is_going => Deed::Remove(folder).apply(),
        _ => Ok(()),
    }
}
