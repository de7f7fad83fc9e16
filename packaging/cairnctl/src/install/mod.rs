//! `install`: look, plan, ask, do.
//!
//! [`plan`] says what an installation consists of, [`step`] does and undoes one step of it, [`program`] knows the
//! commands of server and agent, [`systemd`] those of systemd. A step that is done already is not part of the plan, so
//! that a second installation plans nothing, and one over a damaged version plans its repair.

mod plan;
mod program;
mod step;
mod systemd;

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use packaging_archive::Archive;

use crate::args::InstallArgs;
use crate::exit::{Code, Exit};
use crate::layout::Layout;
use crate::preflight;
use crate::receipt::Receipt;
use crate::show::keep_in;
use crate::source::Source;

pub use systemd::{disable, is_running, reload, stop};

use step::{Context, Undo};

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; what was done has then been undone, or the message says what was not.
pub fn command(args: &InstallArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let source = source(args, archive)?;
    let manifest = source.manifest();
    let layout = layout(&args.host.root)?;
    let start = !args.host.no_start;
    if start && !layout.is_host() {
        let sentence = "services of another root cannot be started; add --no-start";
        return Err(Exit::error(Code::Usage, sentence));
    }
    let _lock = crate::host::lock(layout.root())?;
    let before = Receipt::read(&layout)?;
    if let Some(before) = &before {
        refuse_other(before, &source, args)?;
    }
    let password = args.admin_password_file.as_deref().map(program::password_of).transpose()?;
    let context = Context::new(&layout, &source, args.host.role, start, password);
    let steps = plan::plan(&context, before.as_ref())?;
    if steps.is_empty() {
        if !quiet {
            println!("{} {} is already installed; nothing to do", manifest.product, manifest.version);
        }
        return Ok(Code::Ok);
    }

    let report = preflight::of(&args.host, manifest, before.is_some());
    if !quiet || report.failed() {
        print!("{}", report.text(std::io::stdout().is_terminal()));
    }
    if !quiet || args.dry_run {
        println!("plan for {} {}:", manifest.product, manifest.version);
        for step in &steps {
            println!("  {step}");
        }
    }
    if let Some(code) = report.code() {
        return Err(Exit::error(
            code,
            "this host is not ready; mend what is marked FAIL above and try again",
        ));
    }
    if args.dry_run {
        return Ok(Code::Ok);
    }
    let interactive = std::io::stdin().is_terminal();
    if (!args.yes || args.confirm) && !confirmed(interactive, "Install?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    perform(&context, &steps, quiet)?;
    if !quiet {
        println!("{} {} is installed", manifest.product, manifest.version);
    }
    program::tell(&context, interactive && !args.yes)?;
    Ok(Code::Ok)
}

fn source(args: &InstallArgs, archive: Option<Archive>) -> Result<Source> {
    if let Some(folder) = &args.from {
        return Source::folder(folder);
    }
    let sentence = "nothing to install from; run the .run file, or write cairnctl --archive FILE install";
    let archive = archive.ok_or_else(|| Exit::error(Code::Usage, sentence))?;
    if let Some(dir) = &args.keep_in {
        let dir = keep_in(dir.clone(), archive.manifest());
        archive.extract(&dir, &|_| true, &mut |_| ())?;
        println!("extracted to {}", dir.display());
    }
    Ok(Source::Archive(Box::new(archive)))
}

/// The layout below a root that has to be there.
///
/// # Errors
/// If it is not a folder.
pub fn layout(root: &std::path::Path) -> Result<Layout> {
    std::fs::create_dir_all(root).with_context(|| format!("cannot create the root `{}`", root.display()))?;
    let root = root.canonicalize().with_context(|| format!("cannot use `{}` as a root", root.display()))?;
    Ok(Layout::new(root))
}

fn refuse_other(before: &Receipt, source: &Source, args: &InstallArgs) -> Result<()> {
    let manifest = source.manifest();
    if (&before.product, &before.version) != (&manifest.product, &manifest.version) {
        let sentence = format!(
            "{} {} is installed here; run `cairnctl uninstall` first, which keeps the data, then install {}",
            before.product, before.version, manifest.version
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
/// Without a terminal: usage.
pub fn confirmed(interactive: bool, question: &str) -> Result<bool> {
    if !interactive {
        return Err(Exit::error(Code::Usage, "there is no terminal to ask on; add --yes"));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Does the steps in order. When one fails, those before it are undone, last first.
fn perform(context: &Context<'_>, steps: &[step::Step], quiet: bool) -> Result<()> {
    let mut undo: Vec<Undo> = Vec::new();
    for step in steps {
        if !quiet {
            println!("{step}");
        }
        if let Err(error) = step.apply(context, &mut undo) {
            return Err(roll_back(&error.context(format!("failed: {step}")), undo));
        }
    }
    Ok(())
}

fn roll_back(error: &anyhow::Error, undo: Vec<Undo>) -> anyhow::Error {
    let failures: Vec<String> = undo
        .into_iter()
        .rev()
        .filter_map(|undo| undo.apply().err())
        .map(|error| format!("{error:#}"))
        .collect();
    let no_space = crate::exit::code_of(error) == Code::NoSpace;
    if failures.is_empty() {
        let code = if no_space { Code::NoSpace } else { Code::RolledBack };
        Exit::error(code, format!("{error:#}; everything was put back as it was"))
    } else {
        Exit::error(
            Code::Failed,
            format!("{error:#}; not everything could be put back: {}", failures.join(", ")),
        )
    }
}
