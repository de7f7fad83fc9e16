//! `install`: look, plan, ask, do.
//!
//! [`plan`] says what an installation consists of, [`step`] does one step of it and [`undo`] takes it back, [`program`]
//! knows the commands of server and agent, [`systemd`] those of systemd. A step that is done already is not part of the
//! plan, so that a second installation plans nothing, and one over a damaged version plans its repair.

mod interrupt;
mod password;
mod plan;
mod program;
mod step;
mod summary;
mod systemd;
mod undo;

use std::io::IsTerminal as _;

use anyhow::Result;
use packaging_archive::Archive;

use crate::args::InstallArgs;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::preflight;
use crate::receipt::Receipt;
use crate::root::Root;
use crate::say::{self, say};
use crate::show::keep_in;
use crate::source::Source;
use crate::trust::Trust;

pub use systemd::{disable, is_booted, is_enabled, is_idle, reload, stop};

pub use interrupt::Interrupt;
use step::{Context, Step};
use undo::Undo;

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; what was done has then been undone, or the message says what was not.
pub fn command(args: &InstallArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let interrupt = Interrupt::new()?;
    let source = source(args, archive)?;
    let manifest = source.manifest();
    let root = Root::make(&args.host.root)?;
    let layout = root.layout();
    let trust = Trust::new(layout, &args.trust)?;
    let standing = trust.judge(source.archive())?;
    let start = !args.host.no_start;
    if start && !layout.is_host() {
        let sentence = "services of another root cannot be started; add --no-start";
        return Err(Exit::error(Code::Usage, sentence));
    }
    let left = Receipt::read(layout)?;
    let before = left.as_ref().filter(|receipt| !receipt.removed);
    if let Some(before) = before {
        refuse_other(before, &source, args, layout)?;
    }
    keep(args, &source, quiet)?;
    let interactive = std::io::stdin().is_terminal();
    let context = Context {
        layout,
        source: &source,
        trust: trust.new_keys(),
        role: args.host.role,
        start,
        root_is_new: root.is_new(),
        password: args.admin_password_file.as_deref().map(password::read).transpose()?,
        // Not into a pipe, where it would be kept.
        show_password: interactive && std::io::stdout().is_terminal() && !args.yes,
        secrets: std::cell::RefCell::new(None),
    };
    let steps = plan::plan(&context, left.as_ref())?;
    if steps.is_empty() {
        if !quiet {
            say!("{} {} is already installed; nothing to do", manifest.product, manifest.version);
            tell_foreign_configuration(&context);
        }
        return Ok(Code::Ok);
    }
    let ask = !args.dry_run && (!args.yes || args.confirm);
    if ask && !interactive {
        return Err(no_terminal(args.confirm));
    }

    let report = preflight::of(&args.host, manifest, before.is_some());
    if !quiet || report.failed() {
        say::begin(format_args!("{}", report.notable(std::io::stdout().is_terminal())));
    }
    if let Some(code) = report.code() {
        let sentence = "this host is not ready; mend what is marked FAIL above and try again";
        return Err(Exit::error(code, sentence));
    }
    if args.dry_run || (ask && !quiet) {
        say!("plan for {} {}:", manifest.product, manifest.version);
        standing.tell("  ");
        for step in &steps {
            say!("  {step}");
        }
        tell_foreign_configuration(&context);
    }
    if args.dry_run {
        return Ok(Code::Ok);
    }
    if ask && !confirmed("Install?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    if !quiet && !ask {
        say!("installing {} {}:", manifest.product, manifest.version);
        standing.tell("  ");
        tell_foreign_configuration(&context);
    }
    perform(&context, &steps, &interrupt, quiet)?;
    summary::tell(&context, quiet);
    Ok(Code::Ok)
}

fn source(args: &InstallArgs, archive: Option<Archive>) -> Result<Source> {
    if let Some(folder) = &args.from {
        let source = Source::folder(folder)?;
        source.check(args.host.role)?;
        return Ok(source);
    }
    let sentence = "nothing to install from; run the .run file, or write cairnctl --archive FILE install";
    let archive = archive.ok_or_else(|| Exit::error(Code::Usage, sentence))?;
    Ok(Source::Archive(Box::new(archive)))
}

/// Extracts the file for an operator who wants to have it so too.
fn keep(args: &InstallArgs, source: &Source, quiet: bool) -> Result<()> {
    if let (Some(dir), Some(archive), false) = (&args.keep_in, source.archive(), args.dry_run) {
        let dir = keep_in(dir.clone(), archive.manifest());
        archive.extract(&dir, &|_| true, &mut |_| ())?;
        if !quiet {
            say!("extracted to {}", dir.display());
        }
    }
    Ok(())
}

fn tell_foreign_configuration(context: &Context<'_>) {
    for path in plan::foreign_configuration(context) {
        say!("  keep {}, which differs from the default", path.display());
    }
}

fn refuse_other(before: &Receipt, source: &Source, args: &InstallArgs, layout: &Layout) -> Result<()> {
    let manifest = source.manifest();
    if (&before.product, &before.version) != (&manifest.product, &manifest.version) {
        let sentence = format!(
            "{} {} is installed here; run `{}/bin/cairnctl uninstall` first, which keeps the data, then install {}{}",
            before.product,
            before.version,
            layout.current().display(),
            manifest.version,
            // Then the file that was put together for this run is gone, and what it was made of too.
            if source.archive().is_some_and(|archive| !archive.path().exists()) {
                " from the file that `apply --out FILE` writes: make it before"
            } else {
                ""
            }
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    if before.role != args.host.role {
        let sentence = format!(
            "this host was installed with --role {}; uninstall first to make it another, or repeat that role",
            before.role
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    Ok(())
}

/// Asks a question that `yes` answers.
///
/// # Errors
/// If no answer can be read.
pub fn confirmed(question: &str) -> Result<bool> {
    say::begin(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What to say where there is nobody to ask.
pub fn no_terminal(confirm: bool) -> anyhow::Error {
    let remedy = if confirm { "leave out --confirm" } else { "add --yes" };
    Exit::error(Code::Usage, format!("there is no terminal to ask on; {remedy}"))
}

/// Does the steps in order. When one fails, those before it are undone, last first.
fn perform(context: &Context<'_>, steps: &[Step], interrupt: &Interrupt, quiet: bool) -> Result<()> {
    interrupt.only_note();
    context.layout.written().iter().try_for_each(|folder| host::sweep(folder))?;
    let mut undo: Vec<Undo> = Vec::new();
    for step in steps {
        // A service that runs and is restarted: the old one runs again when all else has been put back.
        if let Step::Start { unit } = step
            && systemd::is_running(unit)
        {
            undo.insert(0, Undo::Start(unit.clone()));
        }
    }
    for step in steps {
        if !quiet {
            say::begin(format_args!("  {step} ... "));
        }
        let done = step.apply(context, &mut undo).and_then(|()| interrupt.check());
        if !quiet {
            say!("{}", if done.is_ok() { "ok" } else { "failed" });
        }
        if let Err(error) = done {
            let error = if interrupt.came() { Interrupt::error() } else { error };
            return Err(roll_back(&error.context(format!("failed: {step}")), undo));
        }
    }
    undo.into_iter().for_each(Undo::forget);
    Ok(())
}

fn roll_back(error: &anyhow::Error, undo: Vec<Undo>) -> anyhow::Error {
    let failures: Vec<String> = undo
        .into_iter()
        .rev()
        .filter_map(|undo| undo.apply().err())
        .map(|error| format!("{error:#}"))
        .collect();
    if !failures.is_empty() {
        let sentence = format!("{error:#}\nnot everything could be put back: {}", failures.join("\n"));
        return Exit::error(Code::Failed, sentence);
    }
    // What says more than that it failed is kept.
    let code = match crate::exit::code_of(error) {
        code @ (Code::NoSpace | Code::Damaged | Code::Interrupted) => code,
        _ => Code::RolledBack,
    };
    Exit::error(code, format!("{error:#}\neverything was put back as it was"))
}
