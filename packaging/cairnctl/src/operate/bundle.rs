//! `support-bundle`: one file for somebody who is to help from afar. Every text in it went through [`Redactor`]; keys, the
//! database, the administrator's file and what guests wrote are never in it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::json;

use super::args::BundleArgs;
use super::redact::Redactor;
use super::{Installed, backup, config, doctor, status};
use crate::exit::{Code, Exit};
use crate::host;
use crate::running;
use crate::say::{self, say};
use crate::tarball::Tarball;
use crate::transaction::{Program, now, pending};

/// Lines of each service's log.
const LINES: &str = "--lines=5000";

/// Runs the verb.
///
/// # Errors
/// If the file is there or cannot be written.
pub fn command(args: &BundleArgs, quiet: bool) -> Result<Code> {
    let installed = Installed::find(&args.at.root)?;
    let name = format!("{}-support-{}.tar.gz", installed.receipt.product, backup::stamp(now()));
    let to = std::path::absolute(args.to.clone().unwrap_or_else(|| PathBuf::from(name)))?;
    if to.symlink_metadata().is_ok() {
        let sentence = format!("`{}` is there already; name another file with --to", to.display());
        return Err(Exit::error(Code::Usage, sentence));
    }
    let redactor = Redactor::of(&installed.layout);
    let parts: Vec<(String, String)> = parts(&installed)?
        .into_iter()
        .map(|(name, text)| (format!("support/{name}"), redactor.clean(&text)))
        .collect();
    if !args.dry_run {
        let mut tarball = Tarball::begin(&to, now())?;
        parts.iter().try_for_each(|(name, text)| tarball.add(name, text.as_bytes()))?;
        tarball.publish()?;
    }
    if args.at.json {
        let names: Vec<&String> = parts.iter().map(|(name, _)| name).collect();
        let answer = json!({ "file": to, "written": !args.dry_run, "contents": names });
        say::answer((answer.to_string() + "\n").as_bytes())?;
    } else if !quiet {
        parts.iter().for_each(|(name, text)| say!("  {name} ({} bytes)", text.len()));
        let what = if args.dry_run { "would be written" } else { "written; read it before you send it" };
        say!("{}: {what}", to.display());
    }
    Ok(Code::Ok)
}

/// What goes into it, by name.
fn parts(installed: &Installed) -> Result<Vec<(String, String)>> {
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let mut parts = vec![
        ("about.txt".to_owned(), about(installed)),
        ("status.json".to_owned(), status::json(installed)?),
    ];
    let report = doctor::examine(installed)?;
    parts.push(("doctor.txt".to_owned(), report.text(false)));
    parts.push(("doctor.json".to_owned(), serde_json::to_string_pretty(&report)? + "\n"));
    parts.push(("receipt.json".to_owned(), String::from_utf8_lossy(&receipt.json()?).into_owned()));
    parts.push(("files.txt".to_owned(), files(installed)));
    if let Some(pending) = pending(layout) {
        parts.push(("journal.txt".to_owned(), read(&pending.journal)));
    }
    for program in Program::of(receipt.role) {
        let file = config::file(layout, program);
        if file.exists() {
            parts.push((format!("etc/{}.toml", config::name(program)), read(&file)));
        }
        if installed.has_services() {
            parts.push((format!("log/{}.txt", program.name()), log(&program.unit())));
        }
    }
    for (name, xml) in running::definitions(layout) {
        parts.push((format!("domain/{name}.xml"), xml));
    }
    Ok(parts)
}

fn about(installed: &Installed) -> String {
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let mut text = format!("{} {}, role {}\n", receipt.product, receipt.version, receipt.role);
    for program in Program::of(receipt.role) {
        let binary = layout.current().join("bin").join(program.name());
        text += &said(Command::new(binary).arg("--version"));
    }
    text += &read(Path::new("/proc/version"));
    text += &read(Path::new("/etc/os-release"));
    text
}

fn log(unit: &str) -> String {
    said(Command::new("journalctl").args(["--no-pager", "--quiet", LINES]).arg(format!("--unit={unit}")))
}

/// Names, modes and sizes of what is the installation's own, and no content.
fn files(installed: &Installed) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let layout = &installed.layout;
    let mut text = String::new();
    for folder in [layout.prefix(), layout.configuration(), layout.state(), layout.logs()] {
        for path in host::tree(&folder) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let (mode, owner, size) = (metadata.mode(), metadata.uid(), metadata.size());
            let _ = writeln!(text, "{mode:06o} {owner} {size:>12} {}", path.display());
        }
    }
    text
}

fn read(path: &Path) -> String {
    fs::read(path).map_or_else(
        |error| format!("cannot read `{}`: {error}\n", path.display()),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

fn said(command: &mut Command) -> String {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => format!("cannot run `{}`: {error}\n", command.get_program().display()),
    }
}
