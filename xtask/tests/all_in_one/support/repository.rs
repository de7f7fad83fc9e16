//! A git repository that comes out the same on every machine: names, dates and settings are fixed, and no configuration of
//! the user or the system is read.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with a worktree.
pub struct Repository {
    path: PathBuf,
    commits: Cell<u32>,
}

impl Repository {
    /// An empty one in the new folder `path`.
    pub fn init(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).unwrap();
        let repository = Self { path, commits: Cell::new(0) };
        repository.git(["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A clone in the new folder `path`, made with further options of `git clone`.
    pub fn clone_to(&self, path: impl Into<PathBuf>, options: &[&str]) -> Self {
        let path = path.into();
        let url = format!("file://{}", self.path.display());
        let mut arguments = vec!["clone", "--quiet"];
        arguments.extend(options);
        arguments.extend(["--", &url, path.to_str().unwrap()]);
        self.git(arguments);
        Self { path, commits: Cell::new(self.commits.get()) }
    }

    /// Its worktree.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its worktree, as it is written in a command.
    pub fn as_str(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Writes a file of the worktree.
    pub fn write(&self, path: &str, content: &str) {
        let file = self.path.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Commits the worktree as it is, and names the commit.
    pub fn commit(&self) -> String {
        self.git(["add", "--all", "."]);
        self.commits.set(self.commits.get() + 1);
        self.git(["commit", "--quiet", "--allow-empty", "--message", "a change"]);
        self.head()
    }

    /// Commits the worktree and tags the commit.
    pub fn release(&self, tag: &str) -> String {
        let commit = self.commit();
        self.git(["tag", "--force", tag]);
        commit
    }

    /// The commit that the worktree stands on.
    pub fn head(&self) -> String {
        self.git(["rev-parse", "HEAD"])
    }

    /// Runs git here, and gives what it prints.
    pub fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let mut command = Command::new("git");
        command.current_dir(&self.path).args([
            "-c",
            "core.autocrlf=false",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "commit.gpgSign=false",
            "-c",
            "tag.gpgSign=false",
            "-c",
            "gc.auto=0",
            "-c",
            "advice.detachedHead=false",
        ]);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("GIT_")) {
                command.env_remove(name);
            }
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "tester");
            command.env(format!("GIT_{role}_EMAIL"), "tester@localhost");
            command.env(format!("GIT_{role}_DATE"), format!("{} +0000", 1_400_000_000 + self.commits.get()));
        }
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}
