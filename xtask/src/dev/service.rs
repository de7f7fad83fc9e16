//! One of the two programs: asked something, or running with its lines shown under its name.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::{LOOK_EVERY, answer};

/// How long one may take to stop. Both let requests under way finish for 10 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program with the folder that it works in.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    executable: PathBuf,
    root: PathBuf,
}

impl Program {
    /// The program of that name.
    pub fn new(folder: &Path, name: &'static str, root: &Path) -> Self {
        Self { name, executable: folder.join(name), root: root.to_owned() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        // What the caller's own installation is told must not reach this one. The log filter is for both.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CAIRN_") && name != "CAIRN_LOG" {
                command.env_remove(&name);
            }
        }
        command.env_remove("NOTIFY_SOCKET").arg("--root").arg(&self.root).stdin(Stdio::null());
        command
    }

    /// Runs it with these arguments and returns what it answers.
    ///
    /// # Errors
    /// With its own sentence, if it does not end with 0.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        answer(self.command().args(arguments))
    }
}

/// A running program. It is stopped when this is dropped.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Service {
    /// Starts it. Its lines go to standard error, each behind `label`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Program, label: &'static str) -> Result<Self> {
        let mut command = program.command();
        command.arg("run").stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C reaches this process alone, which then stops both in order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", program.name))?;
        if let Some(lines) = child.stdout.take() {
            show(lines, label);
        }
        if let Some(lines) = child.stderr.take() {
            show(lines, label);
        }
        Ok(Self { name: program.name, child, ended: None })
    }

    /// The program's name.
    pub const fn program(&self) -> &'static str {
        self.name
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let ended = |service: &mut Self| !matches!(service.ended(), Ok(None));
        if ended(self) {
            return;
        }
        // A failure means that it is gone.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while !ended(self) {
            if Instant::now() > until {
                eprintln!("`{}` does not stop and is killed", self.name);
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Shows lines until there are no more.
fn show(lines: impl Read + Send + 'static, label: &'static str) {
    std::thread::spawn(move || {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            eprintln!("{label} | {line}");
        }
    });
}
