//! The commands of server and agent that an installation relies on, as `packaging/control-contract.md` fixes them:
//! `bootstrap` makes what is missing of secrets and certificates, `health` says whether the service works.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::step::{Context, Undo};
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;

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
    /// Files that it made, as paths of the host.
    created: Vec<PathBuf>,
    /// The administrator, from the server.
    #[serde(default)]
    admin: Option<Admin>,
    /// Where the dashboard answers, from the server.
    #[serde(default)]
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Admin {
    user: String,
    password: Option<String>,
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

    /// Whether its secrets are there.
    pub fn is_bootstrapped(self, layout: &Layout) -> bool {
        match self {
            Self::Server => layout.configuration().join("tls/server.pem").exists(),
            Self::Agent => layout.state().join("agent").exists(),
        }
    }

    /// Makes what is missing of its secrets.
    pub fn bootstrap(self, context: &Context<'_>, undo: &mut Vec<Undo>) -> Result<()> {
        let mut arguments = vec!["bootstrap", "--json"];
        if self == Self::Server {
            arguments.extend(["--role", if context.role.agent() { "all" } else { "server" }]);
        }
        let password = context.password.as_ref().filter(|_| self == Self::Server);
        if password.is_some() {
            arguments.push("--admin-password-stdin");
        }
        let output = self.run(context.layout, &arguments, password.map(String::as_str))?;
        let secrets: Secrets = serde_json::from_slice(&output).with_context(|| {
            format!("`{} bootstrap` answered something else than its contract says", self.name())
        })?;
        self.check_contract(secrets.contract)?;
        undo.extend(secrets.created.iter().cloned().map(Undo::Remove));
        if self == Self::Server {
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
        Ok(output.stdout)
    }
}

/// The first line of the operator's password file.
///
/// # Errors
/// If it cannot be read, or others can read it.
pub fn password_of(path: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let refuse =
        |what: &str| Exit::error(Code::Usage, format!("the password file `{}` {what}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| refuse(&format!("cannot be read ({error})")))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(refuse("can be read by others; run chmod 600 on it"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&format!("cannot be read ({error})")))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(refuse("has no first line; write the password there")),
    }
}

/// Tells the operator where the dashboard is and how to log in. A new password is shown once on a terminal; otherwise it
/// goes to a file that only the superuser reads, and the path is printed.
pub fn tell(context: &Context<'_>, to_terminal: bool) -> Result<()> {
    let Some(secrets) = context.secrets.take() else { return Ok(()) };
    if let Some(url) = &secrets.url {
        println!("dashboard: {url}");
    }
    if let Some(Admin { user, password: Some(password) }) = &secrets.admin {
        if to_terminal {
            println!("log in as {user} with this password, which is shown only once: {password}");
        } else {
            let file = context.layout.state().join("admin-password");
            host::write_whole(&file, format!("{password}\n").as_bytes(), 0o600)?;
            println!("log in as {user}; the password is in {}", file.display());
        }
    }
    Ok(())
}
