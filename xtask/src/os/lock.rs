//! The packages of a set, exactly: in `packaging/os/NAME.lock` those of releases, in the cache those of the day.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::set::Set;
use crate::failure::Failure;

/// One package, exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with its epoch if it has one.
    pub version: String,
    /// The architecture that it is for.
    pub architecture: String,
    /// SHA-256 of its file, 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes of its file.
    pub size: u64,
}

impl Package {
    /// The file's name as an archive of packages has it: without the epoch.
    pub fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(&*self.version, |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }
}

/// All packages of a set, in order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The packages.
    pub packages: Vec<Package>,
}

impl Lock {
    /// Of packages in any order.
    pub fn new(mut packages: Vec<Package>) -> Self {
        packages.sort();
        Self { packages }
    }

    /// Reads a lock, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or lacks what `set` names.
    pub fn read(path: &Path, set: &Set, remedy: &str) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let shown = path.display();
        let lock: Self = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("`{shown}` cannot be read ({}); {remedy}", error.message()))
        })?;
        let has = |name: &&str| lock.packages.iter().any(|package| package.name == **name);
        if let Some(name) = set.named().into_iter().find(|name| !has(name)) {
            return Err(Failure::usage(format!("`{shown}` has no package `{name}`; {remedy}")));
        }
        let whole = |digest: &str| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(package) = lock.packages.iter().find(|package| !whole(&package.sha256)) {
            return Err(Failure::usage(format!("`{shown}` has no SHA-256 of `{}`; {remedy}", package.name)));
        }
        Ok(Some(lock))
    }

    /// The lock as a file: a line for each package, so that a change shows what changed. `head` says who wrote it.
    pub fn text(&self, head: &str) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let line = |package: &Package| {
            let Package { name, version, architecture, sha256, size } = package;
            let [name, version, architecture, sha256] =
                [name, version, architecture, sha256].map(|t| quoted(t));
            format!(
                "    {{ name = {name}, version = {version}, architecture = {architecture}, size = {size}, sha256 = {sha256} }},\n"
            )
        };
        let lines: String = self.packages.iter().map(line).collect();
        format!("# {head}\npackages = [\n{lines}]\n")
    }

    /// Writes the lock whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, head: &str) -> Result<()> {
        let write = || -> std::io::Result<()> {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let new = path.with_added_extension("new");
            fs::write(&new, self.text(head))?;
            fs::rename(new, path)
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::super::set::Role;
    use super::*;

    /// A package whose digest is made of one digit.
    pub fn package(name: &str, version: &str, digit: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            sha256: digit.repeat(64),
            size: 7,
        }
    }

    fn set(packages: &[&str]) -> Set {
        let role = Role { packages: packages.iter().map(|name| (*name).to_owned()).collect() };
        let roles = BTreeMap::from([("agent".to_owned(), role)]);
        Set { suite: "s".into(), architecture: "amd64".into(), roles, also: Vec::new() }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/x.lock");
        assert_eq!(Lock::read(&path, &set(&[]), "mend it").unwrap(), None);
        let lock = Lock::new(vec![package("b", "1:2~3+x-4", "a"), package("a", "1", "b")]);
        lock.write(&path, "Written by a test.").unwrap();
        assert_eq!(lock.packages[0].name, "a");
        assert_eq!(Lock::read(&path, &set(&["a", "b"]), "mend it").unwrap(), Some(lock.clone()));
        assert_eq!(lock.packages[1].file_name(), "b_2~3+x-4_amd64.deb");
        let refusal = |set: &Set| Lock::read(&path, set, "mend it").unwrap_err().to_string();
        assert!(refusal(&set(&["a", "c"])).ends_with("has no package `c`; mend it"));
        fs::write(&path, lock.text("x").replace(&"b".repeat(64), "bb")).unwrap();
        assert!(refusal(&set(&[])).ends_with("has no SHA-256 of `a`; mend it"));
        fs::write(&path, "packages = 1").unwrap();
        assert!(refusal(&set(&[])).ends_with("; mend it"));
    }
}
