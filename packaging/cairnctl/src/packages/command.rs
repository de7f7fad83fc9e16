//! `packages` as a verb: installs what the file carries of this host's operating system, and nothing of Cairn itself.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;
use packaging_archive::Archive;

use super::Packages;
use crate::args::PackagesArgs;
use crate::exit::{Code, Exit};
use crate::install;
use crate::layout::Layout;
use crate::preflight;
use crate::say::{self, say};
use crate::source::Source;

/// Runs the verb.
///
/// # Errors
/// Exit code 3 if nothing is carried for this host, and those of [`Packages`].
pub fn command(args: &PackagesArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let source = match &args.from {
        Some(folder) => Source::folder(folder)?,
        None => Source::Archive(Box::new(crate::show::required(archive)?)),
    };
    let os = preflight::id_and_version(Path::new("/"));
    let Some(packages) = Packages::prepare(&source, &os, args.role, args.wait.patience())? else {
        let carried: Vec<&str> =
            source.manifest().sections.iter().filter_map(|section| section.os()).collect();
        if carried.contains(&os.as_str()) {
            say_unless(quiet, &format!("a host of role {} needs no packages of {os}", args.role));
            return Ok(Code::Ok);
        }
        let carried = if carried.is_empty() { "none".to_owned() } else { carried.join(", ") };
        let sentence = format!(
            "this host is {os}, and the file carries packages of: {carried}; get the file for this system, or install QEMU and libvirt \
             from where this host gets its packages"
        );
        return Err(Exit::error(Code::Unsupported, sentence));
    };
    if packages.plan.is_empty() {
        say_unless(quiet, "all packages are there; nothing to do");
        return Ok(Code::Ok);
    }
    if args.json {
        say::answer((serde_json::to_string_pretty(&packages.plan)? + "\n").as_bytes())?;
    } else if !quiet || args.dry_run {
        say::answer(packages.plan.to_string().as_bytes())?;
    }
    if args.dry_run {
        return Ok(Code::Ok);
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(install::no_terminal(false));
        }
        if !install::confirmed("Go on?")? {
            return Err(Exit::error(Code::Interrupted, "nothing was done"));
        }
    }
    packages.install(&Layout::new("/"))?;
    say_unless(quiet, &format!("the packages of {os} are installed"));
    Ok(Code::Ok)
}

fn say_unless(quiet: bool, line: &str) {
    if !quiet {
        say!("{line}");
    }
}
