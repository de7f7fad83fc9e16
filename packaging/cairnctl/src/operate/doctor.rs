//! `doctor`: what may be wrong with an installation that is there. All that preflight looks at, and beside it what only an
//! installation has: its files, its services and what they say of themselves, runs that were interrupted, backups, and what is
//! left of the room that it writes to.

use std::fs;
use std::io::IsTerminal as _;

use anyhow::Result;

use super::args::AtArgs;
use super::{Installed, backup, config};
use crate::args::{CarriedArgs, HostArgs};
use crate::exit::Code;
use crate::host;
use crate::preflight::report::{Check, Finding, Group};
use crate::preflight::{self, Report};
use crate::say;
use crate::source::Source;
use crate::transaction::{Pending, Program, ago, is_enabled, now, pending, systemd};
use crate::verify;

/// Seconds after which there should be another backup: they are daily.
const BACKUP_AGE: u64 = 2 * 24 * 60 * 60;

/// Files that are named where many are wrong.
const NAMED: usize = 5;

/// Runs the verb.
///
/// # Errors
/// Exit code 1 if nothing is installed. 7 is an answer: a check failed.
pub fn command(args: &AtArgs) -> Result<Code> {
    let report = examine(&Installed::find(&args.root)?)?;
    if args.json {
        say::answer((serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
    } else {
        say::answer(report.text(std::io::stdout().is_terminal()).as_bytes())?;
    }
    Ok(if report.failed() { Code::Failed } else { Code::Ok })
}

/// Looks at everything, and changes nothing.
///
/// # Errors
/// If the installed version has no manifest: nothing can be said then.
pub fn examine(installed: &Installed) -> Result<Report> {
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let source = Source::folder(&layout.versions().join(&receipt.version))?;
    let args = HostArgs {
        root: layout.root().to_owned(),
        role: receipt.role,
        no_start: !installed.has_services(),
        // What is there counts, not what a file could bring.
        carried: CarriedArgs { no_packages: true },
    };
    let mut report = preflight::of(&args, source.manifest(), true);
    let mut add = |group, name, findings: Vec<Finding>| {
        report.checks.extend(findings.into_iter().map(|finding| Check::new(group, name, finding)));
    };
    add(Group::Installation, "interrupted", vec![interrupted(installed)]);
    add(Group::Installation, "files", vec![files(installed)]);
    add(Group::Installation, "left-over", vec![left_over(installed)]);
    add(Group::Installation, "room", preflight::left(layout));
    add(Group::Installation, "configuration", configuration(installed));
    if receipt.role.server() {
        add(Group::Installation, "backup", vec![backups(installed)]);
    }
    if installed.has_services() {
        add(Group::Services, "unit", units(installed));
        add(Group::Services, "program", programs(installed));
    }
    add(Group::Services, "health", health(installed));
    Ok(report)
}

fn interrupted(installed: &Installed) -> Finding {
    match pending(&installed.layout) {
        None => Finding::pass("no run was interrupted"),
        Some(Pending { verb, what, journal }) if verb.is_empty() => Finding::fail(
            format!("{what}: `{}`", journal.display()),
            "finish with the cairnctl that began it",
        ),
        Some(Pending { verb, what, .. }) => Finding::fail(
            format!("{what} was interrupted"),
            format!("go on with `cairnctl {verb} --resume`, or put everything back with `--undo`"),
        ),
    }
}

fn files(installed: &Installed) -> Finding {
    match verify::faults(&installed.layout, &installed.receipt) {
        Ok(faults) if faults.is_empty() => Finding::pass(format!("{} as packed", installed.receipt.version)),
        Ok(faults) => {
            let more = faults.len().saturating_sub(NAMED);
            let mut evidence = faults.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            if more > 0 {
                evidence = format!("{evidence}, and {more} more");
            }
            Finding::fail(evidence, "install the same version again, which mends it")
        }
        Err(error) => Finding::fail(format!("{error:#}"), "install the same version again, which mends it"),
    }
}

/// What killed runs have left: nothing that is used, and swept by the next run that changes something.
fn left_over(installed: &Installed) -> Finding {
    let folders = installed.layout.written();
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let left: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| host::is_passing(path))
        .map(|path| path.display().to_string())
        .collect();
    match left.is_empty() || pending(&installed.layout).is_some() {
        true => Finding::pass("nothing is left of runs that were killed"),
        false => Finding::warn(
            format!("left of a run that was killed: {}", left.join(", ")),
            "it goes with the next run that changes something; it takes room until then",
        ),
    }
}

fn configuration(installed: &Installed) -> Vec<Finding> {
    let programs = Program::of(installed.receipt.role);
    programs
        .map(|program| {
            let file = config::file(&installed.layout, program);
            match config::why_not(installed, program) {
                Ok(None) => Finding::pass(format!("{} takes `{}`", program.name(), file.display())),
                Ok(Some(why)) => Finding::fail(why, "mend the file; `cairnctl config check` looks again"),
                Err(error) => Finding::warn(format!("{error:#}"), "upgrade, so that it can be judged"),
            }
        })
        .collect()
}

fn backups(installed: &Installed) -> Finding {
    let remedy = "make one with `cairnctl backup`, and see `systemctl status cairn-backup.timer`";
    match backup::all(&installed.layout.backups()).pop() {
        None => Finding::warn("there is no backup", remedy),
        Some(last) if now().saturating_sub(last.taken) > BACKUP_AGE => {
            Finding::warn(format!("the last backup was made {}", ago(last.taken)), remedy)
        }
        Some(last) => Finding::pass(format!("the last backup was made {}", ago(last.taken))),
    }
}

fn units(installed: &Installed) -> Vec<Finding> {
    let names = installed.receipt.units.iter().filter_map(|unit| unit.path.file_name()?.to_str());
    names
        .map(|unit| {
            let state = systemd::property(unit, "ActiveState").unwrap_or_else(|| "unknown".to_owned());
            // A service of a timer has nothing to do in between.
            let waits = systemd::property(unit, "UnitFileState").as_deref() == Some("static");
            let seen = format!("{unit} is {state}");
            match state.as_str() {
                "failed" => Finding::fail(seen, format!("see why: journalctl --unit {unit}")),
                _ if waits => Finding::pass(seen),
                "active" if is_enabled(unit) => Finding::pass(seen),
                "active" => Finding::warn(
                    format!("{seen}, and does not start at boot"),
                    format!("systemctl enable {unit}"),
                ),
                _ => Finding::fail(seen, format!("systemctl enable --now {unit}")),
            }
        })
        .collect()
}

/// A service goes on with the program that it was started with, whatever lies there now.
fn programs(installed: &Installed) -> Vec<Finding> {
    let running = Program::of(installed.receipt.role).filter_map(|program| {
        let pid = systemd::property(&program.unit(), "MainPID").filter(|pid| pid != "0")?;
        let runs = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let lies = installed.layout.current().join("bin").join(program.name()).canonicalize().ok()?;
        Some(if runs == lies {
            Finding::pass(format!("{} runs as installed, process {pid}", program.name()))
        } else {
            Finding::fail(
                format!("process {pid} is `{}`, and `{}` is installed", runs.display(), lies.display()),
                format!("cairnctl restart {}", config::name(program)),
            )
        })
    });
    running.collect()
}

fn health(installed: &Installed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in Program::of(installed.receipt.role) {
        let name = program.name();
        match program.health(&installed.layout) {
            Ok(health) => findings.extend(health.checks.into_iter().map(|check| {
                let evidence = format!("{name}, {}: {}", check.name, check.evidence);
                let remedy = check.remedy.unwrap_or_else(|| format!("see journalctl --unit {name}"));
                match check.state.as_str() {
                    "pass" => Finding::pass(evidence),
                    "warn" => Finding::warn(evidence, remedy),
                    _ => Finding::fail(evidence, remedy),
                }
            })),
            Err(error) => findings.push(Finding::fail(
                format!("{name} does not say how it is: {error:#}"),
                format!("see journalctl --unit {name}"),
            )),
        }
    }
    findings
}
