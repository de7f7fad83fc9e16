//! Preflight: can this host take this archive, and what should its operator know before?
//!
//! Every check is a row of [`CHECKS`]: a function that looks at one thing and returns findings. All rows run, at the
//! same time, each on a thread of its own, and whoever does not answer in [`BOUND`] (a dead network file system, a daemon
//! that hangs) is reported as that; the rest is not held up. No check changes the host: what a probe creates has a
//! random name and goes away with the probe.
//!
//! Not here: what to do about a finding (that is the operator's, or the installer's), and checks of an installation that
//! is already there (`doctor`, `verify`). Nothing here asks the C library for a host, a user or a group.

mod command;
mod conflicts;
mod direct_io;
mod executable;
mod glibc;
mod host_name;
mod mounts;
mod os;
mod ports;
mod probe;
pub mod report;
mod sockets;
mod storage;
mod system;
mod tun;
mod virtualization;
mod writable;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use packaging_archive::{HELPER, Manifest, Needs};

use crate::layout::Layout;
use crate::role::Role;
pub use command::{brings, command, of};
pub use os::id_and_version;
use ports::Port;
pub use report::Report;
use report::{Check, Finding, Group};
pub use storage::left;
pub use system::utc;

/// How long a check may take.
const BOUND: Duration = Duration::from_secs(8);

/// Where QEMU and libvirt come from, if they are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    /// From the file.
    Brought,
    /// From elsewhere, some time.
    Later,
    /// From nowhere: they have to be there.
    Needed,
}

/// What is asked: would this archive run on this host, for this purpose?
pub struct Host<'a> {
    /// Where things will lie.
    pub layout: &'a Layout,
    /// What the host is for.
    pub role: Role,
    /// Whether services will be started.
    pub start: bool,
    /// Member 0 of the archive.
    pub manifest: &'a Manifest,
    /// Whether an installation of Cairn is already there. Its own programs may then hold the ports.
    pub installed: bool,
    /// Where QEMU and libvirt come from, if they are not there.
    pub hypervisor: Hypervisor,
    /// The TCP ports that the services will listen on; see [`Port::all`].
    pub ports: Vec<Port>,
}

/// What the checks look at: [`Host`] with everything taken out of the manifest, so that threads can share it.
struct Subject {
    layout: Layout,
    role: Role,
    start: bool,
    installed: bool,
    hypervisor: Hypervisor,
    ports: Vec<Port>,
    /// The target triple of the binaries.
    target: String,
    /// The glibc version that the binaries ask for.
    glibc: Option<String>,
    /// Seconds since 1970 of the newest commit in the archive.
    created: u64,
    /// Room for the sections of this role, unpacked.
    unpacked: Needs,
    /// Room for packages of the operating system while they are installed, where there are any.
    packages: Option<Needs>,
    /// Bytes of the archive itself.
    archive_bytes: u64,
    /// Bytes of the helper, unpacked.
    helper_bytes: u64,
    /// Where a program may be put for the time of an installation, best first.
    scratch: Vec<PathBuf>,
}

impl Subject {
    fn of(host: &Host<'_>) -> Self {
        let manifest = host.manifest;
        let mut unpacked = Needs::default();
        for section in manifest.sections_of(host.role.as_str()) {
            unpacked.bytes = unpacked.bytes.saturating_add(section.needs.bytes);
            unpacked.inodes = unpacked.inodes.saturating_add(section.needs.inodes);
        }
        Self {
            layout: host.layout.clone(),
            role: host.role,
            start: host.start,
            installed: host.installed,
            hypervisor: host.hypervisor,
            ports: host.ports.clone(),
            target: manifest.build.target.clone(),
            glibc: manifest.build.glibc.clone(),
            created: manifest.created,
            unpacked,
            packages: (host.hypervisor == Hypervisor::Brought).then(|| packages_of(manifest)),
            archive_bytes: manifest
                .members
                .iter()
                .fold(0, |sum: u64, member| sum.saturating_add(member.size)),
            helper_bytes: manifest.entry(HELPER).map_or(0, |entry| entry.size),
            scratch: executable::scratch_folders(),
        }
    }
}

/// Room for what the archive carries for this host.
fn packages_of(manifest: &Manifest) -> Needs {
    let os = id_and_version(std::path::Path::new("/"));
    let section = manifest.sections.iter().find(|section| section.os() == Some(os.as_str()));
    section.map_or_else(Needs::default, |section| section.needs)
}

/// One row of the table of checks.
struct Row {
    group: Group,
    name: &'static str,
    /// The roles that it concerns.
    concerns: fn(Role) -> bool,
    look: fn(&Subject) -> Vec<Finding>,
}

const fn row(
    group: Group,
    name: &'static str,
    concerns: fn(Role) -> bool,
    look: fn(&Subject) -> Vec<Finding>,
) -> Row {
    Row { group, name, concerns, look }
}

fn everybody(_: Role) -> bool {
    true
}

/// All checks, in the order of the report.
const CHECKS: &[Row] = &[
    row(Group::System, "root", everybody, system::root),
    row(Group::System, "systemd", everybody, system::systemd),
    row(Group::System, "architecture", everybody, system::architecture),
    row(Group::System, "os", everybody, os::check),
    row(Group::System, "glibc", everybody, glibc::check),
    row(Group::System, "kernel", everybody, system::kernel),
    row(Group::System, "memory", everybody, system::memory),
    row(Group::System, "clock", everybody, system::clock),
    row(Group::System, "security-module", everybody, system::security_module),
    row(Group::System, "host-name", everybody, host_name::check),
    row(Group::System, "conflicts", everybody, conflicts::check),
    row(Group::Storage, "writable", everybody, writable::check),
    row(Group::Storage, "space", everybody, storage::space),
    row(Group::Storage, "inodes", everybody, storage::inodes),
    row(Group::Storage, "executable", everybody, executable::prefix),
    row(Group::Storage, "executable-scratch", everybody, executable::scratch),
    row(Group::Storage, "direct-io", Role::agent, direct_io::check),
    row(Group::Network, "port", everybody, ports::check),
    row(Group::Network, "tun", Role::agent, tun::check),
    row(Group::Virtualization, "kvm", Role::agent, virtualization::kvm),
    row(Group::Virtualization, "qemu", Role::agent, virtualization::qemu),
    row(Group::Virtualization, "qemu-img", Role::agent, virtualization::qemu_img),
    row(Group::Virtualization, "libvirt", Role::agent, virtualization::libvirt),
];

/// Runs every check that concerns the role, and reports all of them. Takes at most [`BOUND`].
pub fn run(host: &Host<'_>) -> Report {
    let subject = Arc::new(Subject::of(host));
    let rows: Vec<&'static Row> = CHECKS.iter().filter(|row| (row.concerns)(host.role)).collect();
    report_of(&rows, &subject, BOUND)
}

fn report_of(rows: &[&'static Row], subject: &Arc<Subject>, bound: Duration) -> Report {
    let deadline = Instant::now() + bound;
    let running: Vec<_> = rows.iter().map(|row| (*row, begin(row.look, Arc::clone(subject)))).collect();
    let mut checks = Vec::new();
    for (row, answer) in running {
        for finding in answer_of(&answer, deadline, bound) {
            checks.push(Check::new(row.group, row.name, finding));
        }
    }
    Report { checks }
}

/// Starts a check on a thread that nobody joins: a thread stuck in the kernel would hold the whole run.
fn begin(look: fn(&Subject) -> Vec<Finding>, subject: Arc<Subject>) -> Receiver<Vec<Finding>> {
    let (sender, receiver) = channel();
    let spawned = thread::Builder::new().spawn(move || {
        // The receiver may have given up; then nobody wants the answer.
        let _ = sender.send(look(&subject));
    });
    // Without a thread the sender is gone, and the receiver says so.
    drop(spawned);
    receiver
}

fn answer_of(answer: &Receiver<Vec<Finding>>, deadline: Instant, bound: Duration) -> Vec<Finding> {
    match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(findings) => findings,
        Err(RecvTimeoutError::Timeout) => vec![Finding::warn(
            format!("did not answer within {} s", bound.as_secs()),
            "look for a network file system or a daemon that hangs, then run `preflight` again",
        )],
        Err(RecvTimeoutError::Disconnected) => {
            vec![Finding::warn(
                "the check itself could not run",
                "run `preflight` again, and report it if it stays",
            )]
        }
    }
}

#[cfg(test)]
mod tests;
