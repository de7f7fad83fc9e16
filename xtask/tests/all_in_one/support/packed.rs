//! A packed file, read with the same crate as the control tool reads it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use packaging_archive::{Archive, Component, Manifest};

/// A packed file.
pub struct Packed {
    archive: Archive,
}

impl Packed {
    /// Opens it and checks every entry.
    pub fn open(file: &Path) -> Self {
        let archive = Archive::open(file).unwrap();
        archive.verify_contents(&mut |_| ()).unwrap();
        Self { archive }
    }

    /// Its table of contents.
    pub fn manifest(&self) -> &Manifest {
        self.archive.manifest()
    }

    /// What it says of one component.
    pub fn component(&self, name: &str) -> &Component {
        &self.manifest().components[name]
    }

    /// Ref and commit of one component.
    pub fn built_from(&self, name: &str) -> (&str, &str) {
        let component = self.component(name);
        (&component.reference, &component.commit)
    }

    /// The paths of a section.
    pub fn section(&self, name: &str) -> Vec<&str> {
        let entries = self.manifest().entries.iter().filter(|entry| entry.section == name);
        let mut paths: Vec<&str> = entries.map(|entry| entry.path.as_str()).collect();
        paths.sort_unstable();
        paths
    }

    /// The content of one entry.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let mut content = Vec::new();
        self.archive.read_entry(path, &mut content).unwrap();
        content
    }

    /// The content of one entry that is text.
    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.content(path)).unwrap()
    }

    /// What the program at `path` prints, with nothing in its environment.
    pub fn run(&self, path: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let program: PathBuf = folder.path().join("program");
        fs::write(&program, self.content(path)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // Other tests start programs at the same time: one of them may hold the file open for writing a moment longer.
        let mut tries = 0;
        let output = loop {
            match Command::new(&program).env_clear().output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < 1000 => {
                    tries += 1;
                    std::thread::yield_now();
                }
                other => break other.unwrap(),
            }
        };
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}
