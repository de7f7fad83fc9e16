//! The commands of server and agent that a transaction relies on, as `packaging/control-contract.md` fixes them:
//! `bootstrap` makes what is missing of secrets and certificates, `health` says whether the service works, `inspect`
//! whether a program can read what lies here, `migrate` brings the database to its version.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use packaging_archive::Manifest;
use serde::{Deserialize, Serialize};

use super::deed::Deed;
use super::fault;
use super::step::Context;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::role::Role;
use crate::say::complain;

/// A program that is installed as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// `cairn-server`.
    Server,
    /// `cairn-agent`.
    Agent,
}

/// What `bootstrap` answers. Fields that are of no interest here are left out.
#[derive(Debug, Deserialize)]
pub struct Secrets {
    /// The version of the contract that it keeps to.
    contract: u32,
    /// The administrator, from the server.
    #[serde(default)]
    pub admin: Option<Admin>,
    /// Where the dashboard answers, from the server.
    #[serde(default)]
    pub url: Option<String>,
}

/// The administrator, as `bootstrap` found or made them.
#[derive(Debug, Deserialize)]
pub struct Admin {
    /// The name to log in with.
    pub user: String,
    /// `created` or `kept`.
    pub state: String,
    /// The password, if the server made one now.
    pub password: Option<String>,
}

/// What `health` answers.
#[derive(Debug, Deserialize)]
pub struct Health {
    contract: u32,
    /// Whether no check failed.
    pub healthy: bool,
    /// In the order in which they were made.
    pub checks: Vec<HealthCheck>,
}

/// One thing that a program looked at.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HealthCheck {
    /// Its name.
    pub name: String,
    /// `pass`, `warn` or `fail`.
    pub state: String,
    /// What was seen.
    pub evidence: String,
    /// What to do, if it did not pass.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// The version of the contract that this program keeps to.
const CONTRACT: u32 = 1;

/// How long a service may take after it said that it is ready until it says that it is healthy.
const PATIENCE: Duration = Duration::from_secs(30);

impl Program {
    /// All, in the order in which they are set up: the server issues the agent's certificate.
    pub const ALL: [Self; 2] = [Self::Server, Self::Agent];

    /// Its file in `bin/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "cairn-server",
            Self::Agent => "cairn-agent",
        }
    }

    /// Its systemd unit.
    pub fn unit(self) -> String {
        format!("{}.service", self.name())
    }

    /// Those that a host of this role runs.
    pub fn of(role: Role) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |program| program.is_for(role))
    }

    fn is_for(self, role: Role) -> bool {
        match self {
            Self::Server => role.server(),
            Self::Agent => role.agent(),
        }
    }

    /// Whether the source brings it and this host needs it.
    pub fn is_in(self, manifest: &Manifest, role: Role) -> bool {
        self.is_for(role) && manifest.entry(&format!("bin/{}", self.name())).is_some()
    }

    /// Whether its secrets are there. Those of the authority may have been moved to a safer place.
    pub fn is_bootstrapped(self, layout: &Layout, role: Role) -> bool {
        let tls = layout.configuration().join("tls");
        let pair =
            |name: &str| tls.join(format!("{name}.pem")).exists() && tls.join(format!("{name}.key")).exists();
        match self {
            Self::Server => {
                pair("server")
                    && pair("server-client")
                    && (!role.agent() || pair("agent"))
                    && layout.state().join("server/admin.json").exists()
            }
            Self::Agent => layout.state().join("agent").exists(),
        }
    }

    /// How it is taken back that it made secrets.
    pub fn undo_bootstrap(self, layout: &Layout) -> Vec<Deed> {
        let tls = layout.configuration().join("tls");
        match self {
            Self::Server => {
                let mut deeds = Deed::before_replacing(&layout.first_password());
                deeds.extend([Deed::remove_new(tls), Deed::remove_new(layout.state().join("server"))]);
                deeds
            }
            Self::Agent => vec![Deed::remove_new(tls), Deed::remove_new(layout.state().join("agent"))],
        }
    }

    /// Makes what is missing of its secrets. A new password is put into its file at once: it is told only this once.
    pub fn bootstrap(self, context: &Context<'_>) -> Result<()> {
        let layout = context.layout;
        let mut arguments = vec!["bootstrap", "--json"];
        if self == Self::Server {
            arguments.extend(["--role", if context.role.agent() { "all" } else { "server" }]);
        }
        let password = context.password.as_ref().filter(|_| self == Self::Server);
        if password.is_some() {
            arguments.push("--admin-password-stdin");
        }
        let output = self.run(layout, &arguments, password.map(String::as_str))?;
        fault::point()?;
        let secrets: Secrets = serde_json::from_slice(&output).with_context(|| {
            format!("`{} bootstrap` answered something else than its contract says", self.name())
        })?;
        self.check_contract(secrets.contract)?;
        if self == Self::Server {
            if let Some(Admin { password: Some(password), .. }) = &secrets.admin {
                let file = layout.first_password();
                host::put_aside(&file)?;
                host::write_whole(&file, format!("{password}\n").as_bytes(), 0o600)?;
            }
            *context.secrets.borrow_mut() = Some(secrets);
        }
        Ok(())
    }

    /// Waits until it says that it is healthy.
    pub fn wait_healthy(self, layout: &Layout) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let last = match self.health(layout) {
                Ok(health) if health.healthy => return Ok(()),
                Ok(health) => {
                    let failed = health.checks.iter().filter(|check| check.state == "fail");
                    failed
                        .map(|check| format!("{}: {}", check.name, check.evidence))
                        .collect::<Vec<_>>()
                        .join(", ")
                }
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() >= end {
                let sentence = format!(
                    "`{}` is not healthy ({last}); see journalctl --unit {}",
                    self.name(),
                    self.name()
                );
                return Err(Exit::error(Code::Failed, sentence));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks it how it is, once.
    ///
    /// # Errors
    /// If it gives no answer.
    pub fn health(self, layout: &Layout) -> Result<Health> {
        let output = self.command(layout, &["health", "--json"]).stdin(Stdio::null()).output()?;
        let health: Health = serde_json::from_slice(&output.stdout)?;
        self.check_contract(health.contract)?;
        Ok(health)
    }

    fn check_contract(self, found: u32) -> Result<()> {
        anyhow::ensure!(
            found == CONTRACT,
            "`{}` keeps to contract {found}, this program to {CONTRACT}",
            self.name()
        );
        Ok(())
    }

    fn command(self, layout: &Layout, arguments: &[&str]) -> Command {
        let mut command = Command::new(layout.current().join("bin").join(self.name()));
        command.arg("--root").arg(layout.root()).args(arguments);
        command
    }

    fn run(self, layout: &Layout, arguments: &[&str], input: Option<&str>) -> Result<Vec<u8>> {
        let line = format!("{} {}", self.name(), arguments.join(" "));
        let run = || -> std::io::Result<std::process::Output> {
            let mut command = self.command(layout, arguments);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                stdin.write_all(input.as_bytes())?;
                stdin.write_all(b"\n")?;
            }
            child.wait_with_output()
        };
        let output = run().with_context(|| format!("cannot run `{line}`"))?;
        if !output.status.success() {
            return Err(failed(layout, &line, String::from_utf8_lossy(&output.stderr).trim()));
        }
        for warning in String::from_utf8_lossy(&output.stderr).lines() {
            complain(format_args!("{warning}"));
        }
        Ok(output.stdout)
    }
}

/// Has the server make what is missing of its secrets, with a certificate for these addresses. What it made is in the
/// context alone: nobody keeps a password that was asked for.
///
/// # Errors
/// With what it said.
pub fn renew(context: &Context<'_>, addresses: &[String]) -> Result<()> {
    let role = if context.role.agent() { "all" } else { "server" };
    let mut arguments = vec!["bootstrap", "--json", "--role", role];
    arguments.extend(addresses.iter().flat_map(|address| ["--address", address]));
    if context.password.is_some() {
        arguments.push("--admin-password-stdin");
    }
    let output = Program::Server.run(context.layout, &arguments, context.password.as_deref())?;
    fault::point()?;
    let secrets: Secrets = serde_json::from_slice(&output)
        .context("`cairn-server bootstrap` answered something else than its contract says")?;
    Program::Server.check_contract(secrets.contract)?;
    *context.secrets.borrow_mut() = Some(secrets);
    Ok(())
}

/// Has the server that runs looked at as these addresses promise it. What cannot be seen from this host is said, and no failure.
///
/// # Errors
/// If one of them does not lead to it, or it does not prove that it is meant.
pub fn check_addresses(layout: &Layout, addresses: &[String]) -> Result<()> {
    let mut command = Program::Server.command(layout, &["health", "--json"]);
    command.args(addresses.iter().flat_map(|address| ["--address", address]));
    let output = command.stdin(Stdio::null()).output().context("cannot run `cairn-server health`")?;
    // An option that it does not know is a matter of usage.
    if output.status.code() == Some(1) && output.stdout.is_empty() {
        complain(format_args!(
            "this version cannot look at itself from outside: open the dashboard by its new address"
        ));
        return Ok(());
    }
    let health: Health = serde_json::from_slice(&output.stdout)
        .context("`cairn-server health` answered something else than its contract says")?;
    Program::Server.check_contract(health.contract)?;
    for check in health.checks.into_iter().filter(|check| check.name == "address") {
        let said = [Some(check.evidence), check.remedy].into_iter().flatten().collect::<Vec<_>>().join("; ");
        match check.state.as_str() {
            "pass" => (),
            "warn" => complain(format_args!("{said}")),
            _ => return Err(Exit::error(Code::Failed, said)),
        }
    }
    Ok(())
}

/// What a failure of a program comes to. What it says of a full disk depends on its version; the disk itself can be asked as well.
fn failed(layout: &Layout, line: &str, said: &str) -> anyhow::Error {
    let folders = [layout.state(), layout.configuration()];
    let full = folders.iter().find(|folder| host::is_full(folder));
    let tells = ["No space left on device", "disk is full", "Disk quota exceeded"];
    if full.is_none() && !tells.iter().any(|words| said.contains(words)) {
        return anyhow::anyhow!("`{line}` failed: {said}");
    }
    let folder = full.unwrap_or(&folders[0]).display();
    Exit::error(Code::NoSpace, format!("`{line}` failed: {said}; no room is left where `{folder}` lies"))
}

/// Has the server write a copy of its database to `to`, also while it runs. Returns the newest migration of the copy, which is
/// not there if there is no database; `None` from a server of before it could.
///
/// # Errors
/// With what it said.
pub fn copy_database(layout: &Layout, to: &Path) -> Result<Option<Option<i64>>> {
    #[derive(Deserialize)]
    struct BackedUp {
        contract: u32,
        applied: Option<i64>,
    }
    let mut command = Program::Server.command(layout, &["backup", "--json", "--to"]);
    let output = command.arg(to).stdin(Stdio::null()).output().context("cannot run `cairn-server backup`")?;
    if output.status.code() == Some(1) && output.stdout.is_empty() {
        return Ok(None);
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(layout, "cairn-server backup", said.trim()));
    }
    let done: BackedUp = serde_json::from_slice(&output.stdout)
        .context("`cairn-server backup` answered something else than its contract says")?;
    Program::Server.check_contract(done.contract)?;
    Ok(Some(done.applied))
}

/// What a server says of the data here. Fields that are of no interest here are left out.
#[derive(Debug, Deserialize)]
pub struct Inspected {
    contract: u32,
    /// Why it would not take the configuration.
    pub configuration: Option<String>,
    /// The newest migration that it knows.
    pub known: i64,
    /// The newest migration that the database has.
    pub applied: Option<i64>,
}

/// The newest migration that a server without `inspect` knows: the first releases do not have that command, and nobody
/// after them is without.
pub const KNOWN_BEFORE: i64 = 2;

/// What the server in `folder` says of the data here; `None` if there is none, or it is from before it could.
///
/// # Errors
/// If it can say nothing of it.
pub fn inspect(layout: &Layout, folder: &Path) -> Result<Option<Inspected>> {
    let program = folder.join("bin").join(Program::Server.name());
    if !program.exists() {
        return Ok(None);
    }
    let mut command = Command::new(&program);
    command.arg("--root").arg(layout.root()).args(["inspect", "--json"]).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run `{}`", program.display()))?;
    // A command that it does not know is a matter of usage.
    if output.status.code() == Some(1) && output.stdout.is_empty() {
        return Ok(None);
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("`{} inspect` failed: {}", program.display(), said.trim());
    }
    let inspected: Inspected = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("`{} inspect` answered something else than its contract says", program.display())
    })?;
    Program::Server.check_contract(inspected.contract)?;
    Ok(Some(inspected))
}

/// Sees that the server in `folder` can read what lies here.
///
/// # Errors
/// Exit code 8 if it cannot.
pub fn judge(layout: &Layout, folder: &Path) -> Result<()> {
    let version = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = inspect(layout, folder)?;
    if let Some(why) = target.as_ref().and_then(|target| target.configuration.as_ref()) {
        let sentence = format!("{version} does not take the configuration of this host: {why}");
        return Err(Exit::error(Code::Refused, sentence));
    }
    let applied = match &target {
        Some(target) => target.applied,
        None => inspect(layout, &layout.current())?.and_then(|present| present.applied),
    };
    let known = target.map_or(KNOWN_BEFORE, |target| target.known);
    match applied {
        Some(applied) if applied > known => {
            let sentence = format!(
                "{version} cannot read the data of this host: the database has migration {applied}, and it knows {known}; go back with cairnctl rollback --restore-backup, or stay"
            );
            Err(Exit::error(Code::Refused, sentence))
        }
        Some(_) | None => Ok(()),
    }
}

/// Brings the database to what the program of `current` works with. One from before it could does so when it starts.
///
/// # Errors
/// With what it said.
pub fn migrate(layout: &Layout) -> Result<()> {
    if inspect(layout, &layout.current())?.is_some() {
        Program::Server.run(layout, &["migrate", "--json"], None)?;
    }
    Ok(())
}
