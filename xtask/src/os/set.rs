//! `packaging/os/NAME.toml`: which packages hosts of an operating system's release need, by role. Its words are explained where
//! they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use anyhow::{Context as _, Result};

use crate::failure::Failure;
use crate::suggest;

/// Where sets lie, beside the manifest.
const FOLDER: &str = "packaging/os";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The release as the mirror calls it.
    pub suite: String,
    /// The architecture of hosts, in the package manager's words.
    pub architecture: String,
    /// What hosts are given, by role.
    #[serde(rename = "role")]
    pub roles: BTreeMap<String, Role>,
    /// What is carried and installed by nobody.
    #[serde(default)]
    pub also: Vec<String>,
}

/// `[role.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Packages that are installed on hosts of this role.
    pub packages: Vec<String>,
}

impl Set {
    /// Reads the set `name` beside the manifest in `folder`.
    ///
    /// # Errors
    /// If there is none, naming the nearest, or it says something that cannot be.
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        let path = path(folder, name, "toml");
        let known = names(folder);
        if !known.iter().any(|known| known == name) {
            let remedy = suggest::remedy(name, known.iter().map(String::as_str));
            let sentence = format!("there is no `{}` that says what `{name}` needs{remedy}", path.display());
            return Err(Failure::usage(sentence));
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("in `{}`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let set: Self =
            toml::from_str(text).map_err(|error| Failure::usage(error.to_string().trim_end().to_owned()))?;
        if let Some(name) = set.named().into_iter().find(|name| !is_plain(name)) {
            return Err(Failure::usage(format!("`{name}` is not the name of a package; mend it")));
        }
        if let Some(word) = [&set.suite, &set.architecture].into_iter().find(|word| !is_plain(word)) {
            return Err(Failure::usage(format!("`{word}` is neither a suite nor an architecture; mend it")));
        }
        Ok(set)
    }

    /// Every package that is named.
    pub fn named(&self) -> BTreeSet<&str> {
        let roles = self.roles.values().flat_map(|role| &role.packages);
        roles.chain(&self.also).map(String::as_str).collect()
    }
}

/// The file of the set `name` with this extension.
pub fn path(folder: &Path, name: &str, extension: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{name}.{extension}"))
}

/// All sets beside the manifest in `folder`.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .filter(|n| is_plain(n))
        .collect();
    names.sort();
    names
}

/// Whether a word is one that a package manager takes for a name and nothing else, an option least of all.
fn is_plain(word: &str) -> bool {
    let begins = word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "suite='s'\narchitecture='amd64'\n[role.agent]\npackages=['b','a']\n";

    #[test]
    fn what_is_named_is_named_once() {
        let set = Set::parse(&format!("also=['a','c']\n{SMALL}")).unwrap();
        assert_eq!(set.named().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_no_package_is_refused() {
        for (text, sentence) in [
            (SMALL.replace("'b'", "'--yes'"), "`--yes` is not the name of a package"),
            (SMALL.replace("='s'", "='a b'"), "`a b` is neither a suite nor"),
            (SMALL.replace("packages", "pakages"), "unknown field `pakages`, expected `packages`"),
        ] {
            let error = format!("{:#}", Set::parse(&text).unwrap_err());
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn an_unknown_set_is_refused_with_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        fs::write(path(folder.path(), "debian-12", "toml"), SMALL).unwrap();
        let error = Set::read(folder.path(), "debian-21").unwrap_err().to_string();
        assert!(error.ends_with("; did you mean `debian-12`?"), "{error}");
        assert_eq!(Set::read(folder.path(), "debian-12").unwrap().suite, "s");
    }
}
