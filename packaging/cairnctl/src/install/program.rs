//! The commands of server and agent that an installation relies on, as `packaging/control-contract.md` fixes them:
//! `bootstrap` makes what is missing of secrets and certificates, `health` says whether the service works.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::step::Context;
use super::undo::Undo;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::role::Role;
use crate::say::complain;

/// A program that is installed as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

#[derive(Debug, Deserialize)]
struct Health {
    contract: u32,
    healthy: bool,
    checks: Vec<HealthCheck>,
}

#[derive(Debug, Deserialize)]
struct HealthCheck {
    name: String,
    state: String,
    evidence: String,
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

    /// Whether the source brings it and this host needs it.
    pub fn is_in(self, context: &Context<'_>) -> bool {
        let wanted = match self {
            Self::Server => context.role.server(),
            Self::Agent => context.role.agent(),
        };
        wanted && context.source.manifest().entry(&format!("bin/{}", self.name())).is_some()
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

    /// Makes what is missing of its secrets. A new password that is not to be shown is put into its file at once: it
    /// is told only this once.
    pub fn bootstrap(self, context: &Context<'_>, undo: &mut Vec<Undo>) -> Result<()> {
        let layout = context.layout;
        let mut arguments = vec!["bootstrap", "--json"];
        let own = match self {
            Self::Server => {
                arguments.extend(["--role", if context.role.agent() { "all" } else { "server" }]);
                "server"
            }
            Self::Agent => "agent",
        };
        let password = context.password.as_ref().filter(|_| self == Self::Server);
        if password.is_some() {
            arguments.push("--admin-password-stdin");
        }
        for folder in [layout.configuration().join("tls"), layout.state().join(own)] {
            undo.push(Undo::remove_new(folder));
        }
        let output = self.run(layout, &arguments, password.map(String::as_str))?;
        let secrets: Secrets = serde_json::from_slice(&output).with_context(|| {
            format!("`{} bootstrap` answered something else than its contract says", self.name())
        })?;
        self.check_contract(secrets.contract)?;
        if self == Self::Server {
            if let (false, Some(Admin { password: Some(password), .. })) =
                (context.show_password, &secrets.admin)
            {
                let file = layout.first_password();
                Undo::make_way(&file, undo)?;
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

    fn health(self, layout: &Layout) -> Result<Health> {
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
            anyhow::bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        for warning in String::from_utf8_lossy(&output.stderr).lines() {
            complain(format_args!("{warning}"));
        }
        Ok(output.stdout)
    }
}
