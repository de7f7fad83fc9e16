//! `install`: look, plan, ask, do.
//!
//! [`plan`] says what an installation consists of; it is done as a [transaction](crate::transaction). A step that is done
//! already is not part of the plan, so that a second installation plans nothing, and one over a damaged version plans its
//! repair.

pub mod password;
pub mod plan;
mod summary;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use anyhow::Result;
use packaging_archive::Archive;

use crate::answer::Answer;
use crate::args::InstallArgs;
use crate::exit::{Code, Exit};
use crate::packages::Packages;
use crate::preflight;
use crate::receipt::Receipt;
use crate::root::Root;
use crate::say::{self, say};
use crate::show::keep_in;
use crate::source::Source;
use crate::transaction::{self, Context, Head, Interrupt, Settled, Wanted, settle};
use crate::trust::Trust;

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; what was done has then been undone, or the message says what was not.
pub fn command(args: &InstallArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("install");
    let done = installed(args, archive, quiet || args.json, &mut answer);
    answer.give(args.json, done)
}

fn installed(
    args: &InstallArgs,
    archive: Option<Archive>,
    quiet: bool,
    answer: &mut Answer,
) -> Result<&'static str> {
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
    let interactive = std::io::stdin().is_terminal();
    let password = args.admin_password_file.as_deref().map(password::read).transpose()?;
    let wanted = Wanted {
        verb: "install",
        to: Some(&manifest.version),
        source: Some(&source),
        ask: !args.yes,
        dry_run: args.dry_run,
        password: password.clone(),
    };
    let context = Context {
        layout,
        source: Some(&source),
        role: args.host.role,
        start,
        password,
        secrets: std::cell::RefCell::new(None),
    };
    // Not into a pipe, where it would be kept.
    let show_password = interactive && std::io::stdout().is_terminal() && !args.yes;
    match settle(layout, &args.recovery, &wanted, &interrupt, quiet)? {
        Settled::Clear => (),
        Settled::Resumed => {
            summary::tell(&context, manifest, show_password, quiet)?;
            if !quiet && context.secrets.borrow().is_none() && layout.first_password().exists() {
                say!("  the password is in {}", layout.first_password().display());
            }
            return Ok("done");
        }
        Settled::Undone => return Ok("undone"),
        Settled::Shown => return Ok("planned"),
    }
    let left = Receipt::read(layout)?;
    let before = left.as_ref().filter(|receipt| !receipt.removed);
    if let Some(before) = before {
        refuse_other(before, &source, args)?;
    }
    keep(args, &source, quiet)?;
    let trusted = trust.new_keys();
    let new = plan::New { context: &context, source: &source, trust: &trusted, root_is_new: root.is_new() };
    let mut steps = plan::plan(&new, left.as_ref())?;
    answer.to = Some(manifest.version.clone());
    answer.steps = steps.iter().map(ToString::to_string).collect();
    answer.kept = plan::foreign_configuration(&new).iter().map(|path| path.display().to_string()).collect();
    let nothing_to_do = || {
        if !quiet {
            say!("{} {} is already installed; nothing to do", manifest.product, manifest.version);
            tell_foreign_configuration(&new);
        }
        Ok("nothing-to-do")
    };
    if steps.is_empty() && !preflight::brings(&args.host, manifest) {
        return nothing_to_do();
    }
    let ask = !args.dry_run && (!args.yes || args.confirm);
    let is_silent = ask && !interactive;
    if is_silent && !steps.is_empty() {
        return Err(no_terminal(args.confirm));
    }

    let report = preflight::of(&args.host, manifest, before.is_some());
    report.show(quiet, args.json);
    if let Some(code) = report.code() {
        let sentence = "this host is not ready; mend what is marked FAIL above and try again";
        return Err(Exit::error(code, sentence));
    }
    let leave_out = args.host.carried.no_packages;
    let packages = Packages::with(&source, layout, args.host.role, leave_out, args.wait.patience())?;
    answer.packages = packages.as_ref().map(|packages| packages.plan.clone());
    if steps.is_empty() && packages.is_none() {
        return nothing_to_do();
    }
    if is_silent {
        return Err(no_terminal(args.confirm));
    }
    if (args.dry_run && !args.json) || (ask && !quiet) {
        say!("plan for {} {}:", manifest.product, manifest.version);
        standing.tell("  ");
        packages.iter().for_each(Packages::tell);
        for step in &steps {
            say!("  {step}");
        }
        tell_foreign_configuration(&new);
    }
    if args.dry_run {
        return Ok("planned");
    }
    if ask && !confirmed("Install?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    if !quiet && !ask {
        say!("installing {} {}:", manifest.product, manifest.version);
        standing.tell("  ");
        tell_foreign_configuration(&new);
    }
    if let Some(packages) = &packages {
        packages.install_aloud(layout, quiet)?;
        // The record is another one now, and its folder is there.
        steps = plan::plan(&new, Receipt::read(layout)?.as_ref())?;
        if steps.is_empty() {
            summary::tell(&context, manifest, show_password, quiet)?;
            return Ok("done");
        }
    }
    let head = Head {
        to: Some(manifest.version.clone()),
        digest: Some(source.digest()),
        start,
        steps,
        ..Head::new("install", &manifest.product, args.host.role)
    };
    transaction::perform(&context, head, &BTreeSet::new(), &interrupt, quiet)?;
    summary::tell(&context, manifest, show_password, quiet)?;
    Ok("done")
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

fn tell_foreign_configuration(new: &plan::New<'_>) {
    for path in plan::foreign_configuration(new) {
        say!("  keep {}, which differs from the default", path.display());
    }
}

fn refuse_other(before: &Receipt, source: &Source, args: &InstallArgs) -> Result<()> {
    let manifest = source.manifest();
    if (&before.product, &before.version) != (&manifest.product, &manifest.version) {
        let sentence = format!(
            "{} {} is installed here; to go from it to {} {}, use the verb `upgrade` in place of `install`",
            before.product, before.version, manifest.product, manifest.version
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
