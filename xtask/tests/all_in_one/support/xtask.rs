//! Calls of the real program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A call that is being put together.
pub struct Xtask {
    command: Command,
}

/// A call that has ended.
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed as its result.
    pub stdout: String,
    /// What it told people.
    pub stderr: String,
}

impl Xtask {
    /// A call with nothing in its environment that this test's own cargo put there.
    pub fn new<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let ours = ["CARGO_HOME", "CARGO_MANIFEST_DIR"].contains(&&*name);
            let proxy = name.to_ascii_lowercase().ends_with("_proxy");
            if !ours
                && (proxy || ["CARGO_", "CAIRN_", "RUSTFLAGS"].iter().any(|start| name.starts_with(start)))
            {
                command.env_remove(&*name);
            }
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    /// Adds arguments.
    pub fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds an option with a path.
    pub fn option(mut self, name: &str, path: &Path) -> Self {
        self.command.arg(name).arg(path);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts in another folder.
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it where there is no network device that is up. The superuser may.
    pub fn without_network(self) -> Self {
        self.through(Command::new("unshare").args(["--net", "--"]))
    }

    /// Starts it where one folder lies over another, for its eyes alone, and new files are nobody else's. The superuser may.
    pub fn with_folder_over(self, folder: &Path, other: &Path) -> Self {
        let script = r#"mount --bind "$1" "$2" && shift 2 && umask 077 && exec "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        self.through(command.arg(folder).arg(other))
    }

    /// The same call as the last words of another command.
    fn through(self, around: &Command) -> Self {
        let mut command = Command::new(around.get_program());
        command.args(around.get_args()).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    /// Starts it and comes back.
    pub fn spawn(mut self) -> Child {
        self.command.spawn().unwrap()
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ran {
        let output = self.command.output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// This call, which has to have succeeded.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// The file that the last line names.
    pub fn file(&self) -> PathBuf {
        let last = self.stdout.lines().last().unwrap();
        if last.starts_with('{') {
            return PathBuf::from(self.objects().last().unwrap()["file"].as_str().unwrap());
        }
        PathBuf::from(last.split_once(' ').unwrap().0)
    }

    /// What it printed, as JSON objects.
    pub fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one JSON value that it printed, however long.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The objects of one event.
    pub fn events(&self, event: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["event"] == event).collect()
    }
}
