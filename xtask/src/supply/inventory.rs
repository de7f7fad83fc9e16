//! What is linked into the programs of one component: cargo says which crates it compiled for the target and with which
//! features, its metadata how they hang together, the lock file what their archives hash to.
//!
//! Crates that only ran while building, procedural macros and what build scripts stand on, are compiled for the building
//! machine and left out; so is what only tests use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId, semver};
use serde::{Deserialize, Serialize};

use super::place::{crate_source, without_user};
use super::texts;
use crate::digest::hex_of;

/// What cargo says of a call that built something.
#[derive(Debug)]
pub struct Linked {
    /// The whole graph.
    pub metadata: Metadata,
    /// The package whose programs were built.
    pub root: PackageId,
    /// Every package that was compiled for the target, with its features.
    pub crates: BTreeMap<PackageId, BTreeSet<String>>,
}

/// What is in one component's programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The id of the package whose programs were built.
    pub root: String,
    /// SHA-256 of the lock file.
    pub lock: String,
    /// Everything that is linked, by id.
    pub crates: BTreeMap<String, Crate>,
    /// Licence texts by their SHA-256.
    pub texts: BTreeMap<String, String>,
}

/// One crate, or a library that the compiler brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from.
    pub from: From,
    /// SHA-256 of its archive, as the lock file has it.
    pub sha256: Option<String>,
    /// Its licence as an SPDX expression.
    pub license: Option<String>,
    /// The names of its licence files, and the SHA-256 of each text.
    pub texts: Vec<(String, String)>,
    /// Ids of what it stands on.
    pub dependencies: BTreeSet<String>,
}

/// Where a crate comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The component's own checkout; the folder in it.
    Checkout(String),
    /// The registry that cargo knows by itself.
    Registry,
    /// Another registry; its address, if others can reach it.
    OtherRegistry(Option<String>),
    /// A git repository; its address, if others can reach it, and the commit.
    Git(Option<String>, String),
    /// The compiler, or the building machine.
    Toolchain,
}

/// Finds out what is linked. `lock` is the text of the lock file, `checkout` the folder that it lies in.
///
/// # Errors
/// If the lock file or a licence file cannot be read.
pub fn take(linked: &Linked, lock: &str, checkout: &Path) -> Result<Inventory> {
    let checksums = checksums(lock)?;
    let packages: Vec<&Package> =
        linked.metadata.packages.iter().filter(|package| linked.crates.contains_key(&package.id)).collect();
    let ids = ids(&packages);
    let mut inventory = Inventory {
        root: ids.get(&linked.root).context("cargo built another package than it was asked for")?.clone(),
        lock: hex_of(lock),
        ..Inventory::default()
    };
    for package in &packages {
        let source = package.source.as_ref().map(|source| source.repr.as_str());
        let folder = package.manifest_path.parent().context("a manifest has no folder")?.as_std_path();
        let top = if source.is_none() { checkout } else { folder };
        let mut texts = Vec::new();
        let named = package.license_file.as_ref().map(|file| file.as_std_path());
        for (name, text) in texts::of(folder, named, top)? {
            let digest = hex_of(&text);
            texts.push((name, digest.clone()));
            inventory.texts.insert(digest, text);
        }
        let key = (package.name.to_string(), package.version.to_string(), source.map(str::to_owned));
        let found = Crate {
            name: key.0.clone(),
            version: key.1.clone(),
            from: from(package, folder, checkout),
            sha256: checksums.get(&key).cloned(),
            license: package.license.as_deref().map(expression),
            texts,
            dependencies: dependencies(package, linked, &packages)
                .filter_map(|id| ids.get(id).cloned())
                .collect(),
        };
        inventory.crates.insert(ids[&package.id].clone(), found);
    }
    Ok(inventory)
}

/// An old spelling of "either", which registries still hold, is no SPDX expression.
fn expression(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

fn from(package: &Package, folder: &Path, checkout: &Path) -> From {
    match &package.source {
        None => {
            let below = folder.strip_prefix(checkout).ok().and_then(Path::to_str).unwrap_or_default();
            From::Checkout(if below.is_empty() { "." } else { below }.to_owned())
        }
        Some(source) if source.is_crates_io() => From::Registry,
        Some(source) => crate_source(&source.repr),
    }
}

/// Short names that are good once in a component: name and version, and a number where two sources have the same.
fn ids(packages: &[&Package]) -> BTreeMap<PackageId, String> {
    let mut sorted = packages.to_vec();
    sorted.sort_by_key(|package| (&package.name, &package.version, &package.id));
    let mut ids: BTreeMap<PackageId, String> = BTreeMap::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for package in sorted {
        let name = format!("{}@{}", package.name, package.version);
        let number = taken.entry(name.clone()).and_modify(|number| *number += 1).or_insert(1);
        ids.insert(package.id.clone(), if *number == 1 { name } else { format!("{name}#{number}") });
    }
    ids
}

/// What a package stands on in this build: normal dependencies, and optional ones where a feature that is on asks for them.
/// Cargo's graph knows only what any member of the workspace would turn on.
fn dependencies<'a>(
    package: &'a Package,
    linked: &'a Linked,
    packages: &'a [&'a Package],
) -> impl Iterator<Item = &'a PackageId> {
    let nodes = linked.metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let own = nodes.filter(|node| node.id == package.id).flat_map(|node| &node.deps);
    own.filter(move |dependency| {
        let Some(other) = packages.iter().find(|other| other.id == dependency.pkg) else { return false };
        let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
        normal && is_on(package, other, &linked.crates[&package.id])
    })
    .map(|dependency| &dependency.pkg)
}

fn is_on(package: &Package, other: &Package, features: &BTreeSet<String>) -> bool {
    let declared = package.dependencies.iter().filter(|declared| {
        declared.kind == DependencyKind::Normal
            && declared.name == other.name.as_str()
            && matches(&declared.req, &other.version)
    });
    declared.clone().count() == 0
        || declared.clone().any(|declared| {
            let key = declared.rename.as_ref().unwrap_or(&declared.name);
            let asked = [format!("dep:{key}"), key.clone()];
            let values = features.iter().filter_map(|feature| package.features.get(feature)).flatten();
            !declared.optional
                || values.clone().any(|value| asked.contains(value) || value.starts_with(&format!("{key}/")))
        })
}

/// A version before a release is meant by whoever names it.
fn matches(req: &semver::VersionReq, version: &semver::Version) -> bool {
    req.matches(version) || !version.pre.is_empty()
}

/// Name, version and source of a package, as a lock file has them.
type Key = (String, String, Option<String>);

/// The SHA-256 of the archive of each locked package that has one.
fn checksums(lock: &str) -> Result<BTreeMap<Key, String>> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        source: Option<String>,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("cannot read the lock file")?;
    let with_checksum =
        |locked: Locked| Some(((locked.name, locked.version, locked.source), locked.checksum?));
    Ok(lock.package.into_iter().filter_map(with_checksum).collect())
}

impl Crate {
    /// The name that package databases know it by; none for one that is only in its own repository.
    pub fn purl(&self) -> Option<String> {
        let plain = format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"));
        match &self.from {
            From::Registry => Some(plain),
            From::OtherRegistry(Some(url)) => {
                Some(format!("{plain}?repository_url={}", encoded(&without_user(url))))
            }
            From::Git(Some(url), commit) => {
                let place = format!("git+{}@{commit}", without_user(url));
                Some(format!("{plain}?vcs_url={}", encoded(&place)))
            }
            From::OtherRegistry(None) | From::Git(None, _) | From::Checkout(_) | From::Toolchain => None,
        }
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    let one = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests;
