//! What becomes of a transaction that was killed: whoever runs next goes on with it or takes it back.

use std::io::IsTerminal as _;

use anyhow::Result;
use packaging_archive::Archive;

use super::journal::Direction;
use super::step::{Context, Step};
use super::{Interrupt, Journal, close, fault, forward, systemd, take_back, undo};
use crate::args::RecoveryArgs;
use crate::exit::{Code, Exit};
use crate::layout::Layout;
use crate::say::say;
use crate::source::Source;

/// What the verb that finds it was asked for.
pub struct Wanted<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The version that it leads to, if it leads to one.
    pub to: Option<&'a str>,
    /// What it installs from.
    pub source: Option<&'a Source>,
    /// Whether it may ask.
    pub ask: bool,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// The administrator's password, if one was given.
    pub password: Option<String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The verb can begin.
    Clear,
    /// What was wanted is done: it was resumed, or taken back on request.
    Resumed,
    /// It was taken back on request.
    Undone,
    /// Nothing was changed, for that was not wanted.
    Shown,
}

/// Looks for a transaction that was killed, and goes on with it or takes it back: what the operator chose, else on if it is
/// the same that is asked for now, else back.
///
/// # Errors
/// As those of the transaction itself.
pub fn settle(
    layout: &Layout,
    choice: &RecoveryArgs,
    wanted: &Wanted<'_>,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<Settled> {
    let Some(journal) = Journal::find(layout)? else {
        if choice.resume {
            let sentence =
                format!("no run below `{}` was interrupted; leave out --resume", layout.root().display());
            return Err(Exit::error(Code::Usage, sentence));
        }
        if choice.undo && !quiet {
            say!("no run below {} was interrupted; nothing to do", layout.root().display());
        }
        return Ok(if choice.undo { Settled::Undone } else { Settled::Clear });
    };
    let head = &journal.head;
    let same = head.verb == wanted.verb
        && (head.to.as_deref() == wanted.to || wanted.to.is_none())
        && wanted.source.is_none_or(|source| head.digest.as_ref() == Some(&source.digest()));
    let at = journal.begun.last().and_then(|begun| head.steps.get(begun.step));
    let at = at.map_or("before its first step".to_owned(), |step| format!("at `{step}`"));
    if !quiet {
        say!("{} was interrupted {at}, {}", head.what(), head.whose());
    }
    let on = match journal.direction {
        Direction::Closing => {
            if choice.undo {
                let sentence = format!("{} is done but for clearing away; leave out --undo", head.what());
                return Err(Exit::error(Code::Refused, sentence));
            }
            true
        }
        Direction::Back => false,
        Direction::Forward if choice.resume || choice.undo => choice.resume,
        Direction::Forward if same && wanted.ask && !wanted.dry_run && std::io::stdin().is_terminal() => {
            crate::install::confirmed("Go on with it? If not, everything is put back as it was.")?
        }
        Direction::Forward => same,
    };
    if wanted.dry_run {
        if !quiet {
            say!("  {}", if on { "would go on with it" } else { "would put everything back as it was" });
        }
        return Ok(Settled::Shown);
    }
    if !quiet {
        say!("{}", if on { "going on:" } else { "putting everything back as it was" });
    }
    interrupt.only_note();
    match (journal.direction, on) {
        (Direction::Closing, _) => {
            close(journal)?;
            Ok(if same || choice.resume { Settled::Resumed } else { Settled::Clear })
        }
        (_, true) => resume(layout, journal, wanted, interrupt, quiet).map(|()| Settled::Resumed),
        (_, false) => {
            let units = stopped(&journal);
            units.iter().try_for_each(|unit| systemd::stop(unit))?;
            undo(journal)?;
            Ok(if choice.undo { Settled::Undone } else { Settled::Clear })
        }
    }
}

/// Services that the transaction has stopped, and that run, since the host was booted meanwhile.
fn stopped(journal: &Journal) -> Vec<String> {
    let done = journal.begun.iter().filter_map(|begun| journal.head.steps.get(begun.step));
    done.filter_map(|step| match step {
        Step::Stop { unit } if systemd::is_running(unit) => Some(unit.clone()),
        _ => None,
    })
    .collect()
}

fn resume(
    layout: &Layout,
    mut journal: Journal,
    wanted: &Wanted<'_>,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<()> {
    let head = journal.head.clone();
    let kept = match (&head.digest, wanted.source) {
        (None, _) => None,
        (Some(digest), Some(source)) if source.digest() == *digest => None,
        (Some(digest), _) => Some(kept(layout, head.to.as_deref(), digest)?),
    };
    let context = Context {
        layout,
        source: kept.as_ref().or(wanted.source),
        role: head.role,
        start: head.start,
        password: wanted.password.clone(),
        secrets: std::cell::RefCell::new(None),
    };
    let first = first_to_do(&journal);
    stopped(&journal).iter().try_for_each(|unit| systemd::stop(unit))?;
    let failures = take_back(&journal, first);
    if !failures.is_empty() {
        let sentence =
            format!("cannot go on: {}\nmend that, and run it again, or with --undo", failures.join("\n"));
        return Err(Exit::error(Code::Failed, sentence));
    }
    fault::point()?;
    journal.again(first)?;
    forward(&context, journal, first, interrupt, quiet)
}

/// Where to go on. The host may have been booted meanwhile, with services that ran on what they found: what was looked at or
/// copied while they were stopped is not true any more, unless the link leads to the new version.
fn first_to_do(journal: &Journal) -> usize {
    let steps = &journal.head.steps;
    let undone = (0..steps.len()).find(|step| !journal.is_done(*step)).unwrap_or(steps.len());
    let is_switched = steps
        .iter()
        .position(|step| matches!(step, Step::SwitchLink { .. }))
        .is_some_and(|step| journal.is_done(step));
    let again = steps.iter().position(|step| match step {
        Step::Stop { .. } => !is_switched,
        Step::Start { .. } => true,
        _ => false,
    });
    undone.min(again.unwrap_or(steps.len()))
}

/// The archive that the transaction began with, where it was kept.
fn kept(layout: &Layout, version: Option<&str>, digest: &str) -> Result<Source> {
    let file = layout.archives().join(format!("{}.run", version.unwrap_or_default()));
    let archive = Archive::open(&file).ok().filter(|archive| archive.verify(&mut |_| ()).is_ok());
    let folder = layout.versions().join(version.unwrap_or_default());
    let sources = archive.map(|archive| Source::Archive(Box::new(archive))).into_iter();
    let mut sources = sources.chain(Source::folder(&folder).ok());
    sources.find(|source| source.digest() == digest).ok_or_else(|| {
        let sentence = "going on needs the file that it began with; run that file again, or choose --undo";
        Exit::error(Code::Usage, sentence)
    })
}
