//! A root, the packed files, and what is run on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use xtask_testbed::Listing;

use crate::product;

/// Where a root lies, and files beside it.
pub struct Stage {
    folder: tempfile::TempDir,
}

/// How a run ended: the exit code, `None` if it was killed, and what it said.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub said: String,
}

impl Done {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        Self { code: output.status.code(), said: text(&output.stdout) + &text(&output.stderr) }
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        self
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.said.contains(words), "`{words}` is not said:\n{}", self.said);
        self
    }
}

/// A run of the tool.
#[derive(Clone, Copy)]
pub struct Verb {
    /// The packed file that it is about.
    pub version: Option<&'static str>,
    /// What is typed.
    pub words: &'static [&'static str],
}

pub const INSTALL: Verb = Verb { version: Some("1.0"), words: &["install", "--no-start"] };
pub const UPGRADE: Verb = Verb { version: Some("2.0"), words: &["upgrade"] };
pub const ROLLBACK: Verb = Verb { version: None, words: &["rollback", "--restore-backup"] };
pub const UNINSTALL: Verb = Verb { version: None, words: &["uninstall"] };
pub const PURGE: Verb = Verb { version: None, words: &["uninstall", "--purge"] };

impl Stage {
    /// An empty root, in memory where that can be: what is tested writes to the disk at every step.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(place).unwrap();
        for version in product::VERSIONS {
            product::pack(folder.path(), version);
        }
        let stage = Self { folder };
        fs::create_dir_all(stage.at("etc/systemd/system")).unwrap();
        fs::write(stage.at("etc/systemd/system/other.service"), "mine").unwrap();
        stage
    }

    /// The root on which these were done.
    pub fn after(verbs: &[Verb]) -> Self {
        let stage = Self::new();
        for verb in verbs {
            stage.run(*verb, &[], "").expect(0);
        }
        stage
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// The packed file of a version.
    pub fn file(&self, version: &str) -> PathBuf {
        self.folder.path().join(format!("{version}.run"))
    }

    /// Runs it, with more words behind, and with a fault.
    pub fn run(&self, verb: Verb, more: &[&str], fault: &str) -> Done {
        self.finish(Command::new(env!("CARGO_BIN_EXE_cairnctl")), verb, more, fault)
    }

    /// The same, where no file may become bigger than so many blocks of 512 bytes.
    pub fn run_limited(&self, verb: Verb, blocks: u32) -> Done {
        let mut command = Command::new("sh");
        let line = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        command.args(["-c", line, "sh", &blocks.to_string(), env!("CARGO_BIN_EXE_cairnctl")]);
        self.finish(command, verb, &[], "")
    }

    fn finish(&self, command: Command, verb: Verb, more: &[&str], fault: &str) -> Done {
        let mut command = self.command(command, verb, more, fault);
        Done::of(&command.output().unwrap())
    }

    /// The tool's command line, behind what `command` has already.
    pub fn command(&self, mut command: Command, verb: Verb, more: &[&str], fault: &str) -> Command {
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CAIRN_FAULT", fault);
        if let Some(version) = verb.version {
            command.arg("--archive").arg(self.file(version));
        }
        command.args(verb.words).arg("--root").arg(self.root()).arg("--yes").args(more);
        command
    }

    /// Runs a verb that asks nothing: `WORDS --root ROOT`.
    pub fn ask(&self, words: &[&str]) -> Done {
        self.faulty(words, "")
    }

    /// The same, with something on standard input.
    pub fn given(&self, words: &[&str], input: &str) -> Done {
        let file = self.folder.path().join("input");
        fs::write(&file, input).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairnctl"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(words).arg("--root").arg(self.root()).stdin(fs::File::open(file).unwrap());
        Done::of(&command.output().unwrap())
    }

    /// The same with a fault.
    pub fn faulty(&self, words: &[&str], fault: &str) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairnctl"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CAIRN_FAULT", fault);
        command.args(words).arg("--root").arg(self.root());
        Done::of(&command.output().unwrap())
    }

    /// The same with `--json`, and what was answered.
    #[track_caller]
    pub fn json(&self, words: &[&str], code: i32) -> serde_json::Value {
        let done = self.ask(&[words, &["--json"]].concat()).expect(code);
        serde_json::from_str(done.said.lines().next().unwrap()).unwrap()
    }

    /// Paths, modes and hashes, but for the files that say when a backup was taken.
    pub fn listing(&self) -> Listing {
        let backups = fs::read_dir(self.at("var/lib/cairn/backups")).into_iter().flatten().flatten();
        let times: Vec<String> = backups
            .map(|backup| format!("/var/lib/cairn/backups/{}", backup.file_name().display()))
            .map(|path| if path.ends_with(".gz") { path } else { path + "/backup.json" })
            .collect();
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        Listing::of(&self.root(), &times).unwrap()
    }

    /// Keeps the root as it is, under a name.
    pub fn keep(&self, name: &str) {
        self.copy(&self.root(), &self.folder.path().join(name));
    }

    /// Makes it again what it was when it was kept.
    pub fn back(&self, name: &str) {
        self.copy(&self.folder.path().join(name), &self.root());
    }

    fn copy(&self, from: &Path, to: &Path) {
        let _ = fs::remove_dir_all(to);
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    }
}
