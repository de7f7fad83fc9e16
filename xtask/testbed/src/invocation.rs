//! What a test wants to have run, and what came of it. Where it runs is decided by whom it is given to: a
//! [`RootClone`](crate::RootClone), a [`Room`](crate::Room) or a [`Machine`](crate::Machine).

use crate::cgroup;
use crate::process::{self, Input, PLAIN_ENV};
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// How long a command may run unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(600);

/// A program with its arguments, environment, working directory, input and time limit. The environment holds PATH,
/// HOME, LC_ALL and what [`env`](Self::env) adds; the user is the superuser, the umask 022.
#[derive(Clone, Debug)]
pub struct Invocation {
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: OsString,
    stdin: Stdin,
    limit: Duration,
}

#[derive(Clone, Debug)]
enum Stdin {
    Nothing,
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Invocation {
    /// `program` is looked up in PATH where it runs.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            words: vec![program.into()],
            env: Vec::new(),
            dir: "/".into(),
            stdin: Stdin::Nothing,
            limit: LIMIT,
        }
    }

    /// `sh -c script`. Write the script as a constant: what varies is given by [`args`](Self::args), as `$1` and
    /// so on.
    pub fn sh(script: &str) -> Self {
        Self::new("sh").args(["-c", script, "sh"])
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Adds or replaces an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The working directory; `/` unless given.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<OsString>) -> Self {
        self.dir = dir.into();
        self
    }

    /// What the program reads; an empty input unless given.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// Lets the program read a file of this machine.
    #[must_use]
    pub fn stdin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.stdin = Stdin::File(path.into());
        self
    }

    /// Kills the program after this long; ten minutes unless given. What it has started itself ends with the room, or
    /// runs on in the machine.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The words as one would type them, for messages; a word of several lines by its first.
    pub(crate) fn shown(&self) -> String {
        let shown = |word: &OsString| {
            let text = word.to_string_lossy();
            let mut lines = text.trim_start().lines();
            match (lines.next(), lines.next()) {
                (Some(first), Some(_)) => format!("{first} ..."),
                (first, _) => first.unwrap_or_default().to_owned(),
            }
        };
        self.words.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    /// Runs in all namespaces of process `pid` (in our numbering), from its root directory, in these control groups.
    pub(crate) fn run_in(self, pid: u32, groups: &[PathBuf]) -> Result<Output> {
        let mut command = cgroup::command(groups, "nsenter");
        command.arg(format!("--target={pid}")).args(["--all", "--root", "--wd", "--"]);
        // `nsenter` forks: when it is killed for taking too long, its child shall die too.
        command.args(["setpriv", "--pdeathsig", "KILL", "env"]);
        self.finish(command)
    }

    /// Runs where we are.
    pub(crate) fn run_here(self) -> Result<Output> {
        self.finish(cgroup::command(&[], "env"))
    }

    /// What stands behind `env`.
    fn env_words(&self) -> Vec<OsString> {
        let mut words = vec!["--ignore-environment".into(), joined("--chdir", &self.dir)];
        let plain = PLAIN_ENV.into_iter().chain([("HOME", "/root")]);
        words.extend(plain.map(|(name, value)| joined(name, OsStr::new(value))));
        words.extend(self.env.iter().map(|(name, value)| {
            let mut word = name.clone();
            word.push("=");
            word.push(value);
            word
        }));
        words.extend(self.words.iter().cloned());
        words
    }

    /// The same as a line of shell, for where there is nothing but one, and what is fed to it.
    pub(crate) fn line(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut line = b"exec env".to_vec();
        for word in self.env_words() {
            line.extend_from_slice(b" '");
            for &byte in word.as_bytes() {
                match byte {
                    b'\'' => line.extend_from_slice(br"'\''"),
                    byte => line.push(byte),
                }
            }
            line.push(b'\'');
        }
        line.push(b'\n');
        let input = match &self.stdin {
            Stdin::Nothing => Vec::new(),
            Stdin::Bytes(bytes) => bytes.clone(),
            Stdin::File(path) => {
                std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?
            }
        };
        Ok((line, input))
    }

    /// How long it may run.
    pub(crate) fn longest(&self) -> Duration {
        self.limit
    }

    /// What came of it elsewhere, with this exit code.
    pub(crate) fn ended(&self, code: i32, stdout: Vec<u8>, stderr: Vec<u8>) -> Output {
        // As wait(2) has it.
        Output { status: ExitStatus::from_raw(code << 8), stdout, stderr, shown: self.shown() }
    }

    /// Runs by `command`, which ends in `env` so far.
    fn finish(self, mut command: Command) -> Result<Output> {
        let shown = self.shown();
        command.args(self.env_words());
        let input = match self.stdin {
            Stdin::Nothing => Input::Nothing,
            Stdin::Bytes(bytes) => Input::Bytes(bytes),
            Stdin::File(path) => {
                Input::File(File::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?)
            }
        };
        let done = process::finish(command, input, self.limit).with_context(|| format!("`{shown}`"))?;
        if done.stderr.starts_with(b"nsenter: ") {
            bail!("cannot enter the place for `{shown}`: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(Output { status: done.status, stdout: done.stdout, stderr: done.stderr, shown })
    }
}

fn joined(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

impl<S: Into<OsString>, const N: usize> From<[S; N]> for Invocation {
    /// The first word is the program.
    ///
    /// # Panics
    /// When there is no word at all.
    fn from(words: [S; N]) -> Self {
        const { assert!(N > 0, "a command has at least one word") };
        Self { words: words.into_iter().map(Into::into).collect(), ..Self::new("") }
    }
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit status. A command that `sh` ran and a signal ended has code 128 + the signal's number.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    shown: String,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text, without the white space at its end.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as text, without the white space at its end.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }

    /// Itself when the command ended with code 0, else an error with the command and all it wrote.
    pub fn checked(self) -> Result<Self> {
        if self.success() {
            return Ok(self);
        }
        bail!("`{}` failed ({}):\n{}\n{}", self.shown, self.status, self.stdout_text(), self.stderr_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_one_would_type_it() {
        assert_eq!(Invocation::from(["ip", "-brief", "link"]).shown(), "ip -brief link");
        assert_eq!(Invocation::sh("echo \"$1\"").arg("x").shown(), "sh -c echo \"$1\" sh x");
        assert_eq!(Invocation::sh("\n  set -eu\n  true\n").shown(), "sh -c set -eu ... sh");
    }

    #[test]
    fn a_shell_reads_each_word_as_it_is() {
        let odd =
            Invocation::new("printf").args(["%s|", "it's", "$(false) `x`", "two\nlines"]).env("ODD", "a 'b'");
        let (line, _) = odd.line().expect("a line");
        let said = Invocation::new("sh").stdin(line).run_here().expect("run").stdout_text();
        assert_eq!(said, "it's|$(false) `x`|two\nlines|");
    }
}
