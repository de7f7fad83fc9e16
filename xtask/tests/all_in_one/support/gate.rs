//! A build that stops where a test wants it to stop, without anybody waiting for a time.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use super::{Repository, World, project};

/// A build script that says that it has started and goes on when it is told to.
pub struct Gate {
    started: PathBuf,
    go_on: PathBuf,
}

impl Gate {
    /// Puts the build script into a package.
    pub fn in_package(world: &World, repository: &Repository, package: &str, says: &str) -> Self {
        let gate = Self { started: world.path("started"), go_on: world.path("go-on") };
        for pipe in [&gate.started, &gate.go_on] {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        project::program(repository, package, says);
        let script = format!(
            "fn main() {{\n    std::fs::write({:?}, \"x\").unwrap();\n    std::fs::read({:?}).unwrap();\n}}\n",
            gate.started, gate.go_on
        );
        repository.write("build.rs", &script);
        gate
    }

    /// Comes back when the build script runs.
    pub fn wait(&self) {
        let mut word = String::new();
        File::open(&self.started).unwrap().read_to_string(&mut word).unwrap();
        assert_eq!(word, "x");
    }

    /// Lets the build script that waits go on, and every later one pass.
    pub fn open(&self) {
        let mut waiting = File::options().write(true).open(&self.go_on).unwrap();
        for pipe in [&self.started, &self.go_on] {
            fs::remove_file(pipe).unwrap();
            fs::write(pipe, "open").unwrap();
        }
        waiting.write_all(b"x").unwrap();
    }
}
