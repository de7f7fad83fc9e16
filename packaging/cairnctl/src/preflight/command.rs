//! `preflight` as a verb, and as the first thing that `install` does.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;
use packaging_archive::{Archive, Manifest};

use super::os::id_and_version;
use super::{Host, Hypervisor, Port, Report, run};
use crate::args::{HostArgs, PreflightArgs};
use crate::exit::Code;
use crate::layout::Layout;
use crate::receipt::Receipt;
use crate::say;
use crate::source::Source;

/// Runs the verb: about an archive, or about the version that is installed.
///
/// # Errors
/// If there is neither.
pub fn command(args: &PreflightArgs, archive: Option<Archive>) -> Result<Code> {
    let layout = Layout::new(std::path::absolute(&args.host.root)?);
    let receipt = Receipt::installed(&layout)?;
    let source = match (archive, &receipt) {
        (None, Some(receipt)) => Source::folder(&layout.versions().join(&receipt.version))?,
        (archive, _) => Source::Archive(Box::new(crate::show::required(archive)?)),
    };
    let report = of(&args.host, source.manifest(), receipt.is_some());
    if args.json {
        say::answer((serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
    } else {
        say::answer(report.text(std::io::stdout().is_terminal()).as_bytes())?;
    }
    Ok(report.code().unwrap_or(Code::Ok))
}

/// The report for a host and what is to be installed there.
pub fn of(args: &HostArgs, manifest: &Manifest, installed: bool) -> Report {
    let layout = Layout::new(std::path::absolute(&args.root).unwrap_or_else(|_| args.root.clone()));
    let ports = Port::all(&layout, args.role);
    let hypervisor = match (brings(args, manifest), args.carried.no_packages) {
        (true, _) => Hypervisor::Brought,
        (false, true) => Hypervisor::Later,
        (false, false) if installed || args.no_start => Hypervisor::Later,
        (false, false) => Hypervisor::Needed,
    };
    run(&Host {
        layout: &layout,
        role: args.role,
        start: !args.no_start,
        manifest,
        installed,
        hypervisor,
        ports,
    })
}

/// Whether the file carries packages for this very host, and they are to be installed.
pub fn brings(args: &HostArgs, manifest: &Manifest) -> bool {
    let is_host = std::path::absolute(&args.root).is_ok_and(|root| Layout::new(root).is_host());
    let os = id_and_version(Path::new("/"));
    let mut sections = manifest.sections.iter().filter(|section| section.is_for(args.role.as_str()));
    let carries = sections.any(|section| section.os() == Some(os.as_str()));
    is_host && !args.carried.no_packages && carries
}
