//! `status`: what is installed, what of it runs and how it is, and what an operator should know beyond that. Changes nothing
//! and waits for nobody.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::Installed;
use super::args::AtArgs;
use super::backup;
use crate::exit::Code;
use crate::host;
use crate::running;
use crate::say::{self, say};
use crate::transaction::{HealthCheck, Pending, Program, is_enabled, pending, systemd};

/// The answer of `status --json`.
#[derive(Debug, Serialize)]
struct Status {
    product: String,
    version: String,
    /// What `rollback` returns to.
    previous: Option<String>,
    role: String,
    root: PathBuf,
    /// Whether all services run and are healthy, and nothing was interrupted.
    healthy: bool,
    units: Vec<Unit>,
    programs: Vec<Report>,
    /// A run that was interrupted, or that works now.
    transaction: Option<Pending>,
    /// Who works on the installation now.
    at_work: Option<String>,
    /// The oldest first.
    backups: Vec<backup::Found>,
    /// Virtual machines that run here.
    vms: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Unit {
    unit: String,
    /// systemd's ActiveState and SubState.
    active: String,
    sub: String,
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    program: &'static str,
    healthy: bool,
    /// Why it gave no answer.
    error: Option<String>,
    checks: Vec<HealthCheck>,
}

/// Runs the verb.
///
/// # Errors
/// Exit code 1 if nothing is installed. 7 is an answer: it is not healthy.
pub fn command(args: &AtArgs, quiet: bool) -> Result<Code> {
    let status = look(&Installed::find(&args.root)?);
    if args.json {
        say::answer(status.json()?.as_bytes())?;
    } else if !quiet {
        status.print();
    }
    Ok(if status.healthy { Code::Ok } else { Code::Failed })
}

/// The answer as JSON.
///
/// # Errors
/// Never for what is in it.
pub fn json(installed: &Installed) -> Result<String> {
    look(installed).json()
}

fn look(installed: &Installed) -> Status {
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let units: Vec<Unit> = if installed.has_services() {
        let names = receipt.units.iter().filter_map(|unit| unit.path.file_name()?.to_str());
        names.map(unit).collect()
    } else {
        Vec::new()
    };
    let programs: Vec<Report> = Program::of(receipt.role).map(|program| report(installed, program)).collect();
    let transaction = pending(layout);
    let healthy = transaction.is_none()
        && programs.iter().all(|report| report.healthy)
        && units.iter().all(|unit| unit.active != "failed");
    Status {
        product: receipt.product.clone(),
        version: receipt.version.clone(),
        previous: receipt.previous.as_ref().map(|previous| previous.version.clone()),
        role: receipt.role.to_string(),
        root: layout.root().to_owned(),
        healthy,
        units,
        programs,
        transaction,
        at_work: File::open(layout.root()).ok().and_then(|root| host::owner(&root)),
        backups: backup::all(&layout.backups()),
        vms: running::all(layout).into_iter().map(|vm| vm.name).collect(),
    }
}

fn unit(name: &str) -> Unit {
    let property = |property: &str| systemd::property(name, property).unwrap_or_else(|| "unknown".to_owned());
    Unit {
        unit: name.to_owned(),
        active: property("ActiveState"),
        sub: property("SubState"),
        enabled: is_enabled(name),
    }
}

fn report(installed: &Installed, program: Program) -> Report {
    match program.health(&installed.layout) {
        Ok(health) => {
            Report { program: program.name(), healthy: health.healthy, error: None, checks: health.checks }
        }
        Err(error) => Report {
            program: program.name(),
            healthy: false,
            error: Some(format!("{error:#}")),
            checks: Vec::new(),
        },
    }
}

impl Status {
    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn print(&self) {
        say!("{} {}, role {}", self.product, self.version, self.role);
        if let Some(previous) = &self.previous {
            say!("  `cairnctl rollback` returns to {previous}");
        }
        for unit in &self.units {
            let boot = if unit.enabled { "starts at boot" } else { "does not start at boot" };
            say!("  {}: {} ({}), {boot}", unit.unit, unit.active, unit.sub);
        }
        for report in &self.programs {
            say!("  {}: {}", report.program, if report.healthy { "healthy" } else { "not healthy" });
            if let Some(error) = &report.error {
                say!("    {error}");
            }
            for check in report.checks.iter().filter(|check| check.state != "pass") {
                say!("    {}  {}: {}", check.state, check.name, check.evidence);
                if let Some(remedy) = &check.remedy {
                    say!("      {remedy}");
                }
            }
        }
        if let Some(owner) = &self.at_work {
            say!("  at work now: {owner}");
        } else if let Some(pending) = &self.transaction {
            say!("  interrupted: {}", pending.what);
            say!("    go on with `cairnctl {} --resume`, or put everything back with `--undo`", pending.verb);
        }
        match self.backups.last() {
            Some(last) => {
                let taken = crate::transaction::ago(last.taken);
                say!("  backups: {}, the last one {taken}", self.backups.len());
            }
            None if self.role != "agent" => say!("  backups: none"),
            None => (),
        }
        if !self.vms.is_empty() {
            say!("  virtual machines that run here: {}", self.vms.join(", "));
        }
    }
}
