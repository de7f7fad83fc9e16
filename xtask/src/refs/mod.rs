//! From what was asked for to exact commits: which ref each component is built at, and what that ref is.
//!
//! A ref is looked up, per component, as `worktree`; the pin of that component in a release of that name; a tag; a
//! branch; a commit. Nothing is guessed: what is not found is refused with the nearest name, and a pin whose tag has moved
//! is refused with both commits.

mod checkout;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::Origin;

use crate::buildfile::{BuildFile, Component, Pin, Recipe};
use crate::cache::Cache;
use crate::failure::Failure;
use crate::git::{self, Mirror};
use crate::suggest;

pub use checkout::toolchain_of;

/// The ref that means the files as they lie there now.
pub const WORKTREE: &str = "worktree";

/// What was asked for: the release or ref of all, and overrides for some.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `--version`; without it every component is built from the worktree.
    pub version: Option<String>,
    /// `--component NAME=REF`.
    pub overrides: BTreeMap<String, String>,
}

/// Where sources lie.
pub struct Sources<'a> {
    cache: &'a Cache,
    root: PathBuf,
    mirrors: BTreeMap<String, Mirror>,
    offline: Option<String>,
}

/// One component, exactly.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Its source: an absolute path or a URL.
    pub source: String,
    /// The ref that it goes by.
    pub reference: String,
    /// The commit that it is recorded as.
    pub commit: String,
    /// The commit that is checked out: another one for a worktree with changes.
    pub tree: String,
    /// Whether the two differ.
    pub dirty: bool,
    /// When the commit was made, seconds since 1970.
    pub time: u64,
    /// How it is built.
    pub recipe: Recipe,
    /// Who said so.
    pub origin: Origin,
    /// The files that it carries: path in the checkout, path in the archive.
    pub files: Vec<CarriedFile>,
    /// Its own version.
    pub version: Option<String>,
    /// The channel of its toolchain file.
    pub toolchain: Option<String>,
    /// Whether the release pins another commit.
    pub differs_from_pin: bool,
}

/// A file that goes from a checkout to the archive as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedFile {
    /// Path from the checkout's root.
    pub from: String,
    /// Path from the archive's root.
    pub to: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// A commit and what it is called.
struct Found {
    commit: String,
    tree: String,
    dirty: bool,
    reference: String,
}

impl<'a> Sources<'a> {
    /// Sources relative to `root`. With `offline`, which is the command that fetches what is missing, those elsewhere are
    /// taken as the cache has them.
    pub fn new(cache: &'a Cache, root: PathBuf, offline: Option<String>) -> Self {
        Self { cache, root, mirrors: BTreeMap::new(), offline }
    }

    /// An up-to-date mirror of a source, and its absolute name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mirror(&mut self, source: &str) -> Result<(Mirror, String)> {
        let source = if is_url(source) {
            source.to_owned()
        } else {
            let top = git::top_of(&self.root.join(source))?;
            top.to_str().context("a source's path is not UTF-8")?.to_owned()
        };
        if let Some(mirror) = self.mirrors.get(&source) {
            return Ok((mirror.clone(), source));
        }
        let folder = self.cache.mirror(&source);
        let mirror = match self.offline.as_ref().filter(|_| is_url(&source)) {
            None => Mirror::update(&folder, &source)?,
            Some(fetch) => Some(Mirror::existing(&folder)).filter(Mirror::is_whole).ok_or_else(|| {
                Failure::unsupported(format!(
                    "offline, and `{source}` was never fetched; run {fetch} where there is a network"
                ))
            })?,
        };
        self.mirrors.insert(source.clone(), mirror.clone());
        Ok((mirror, source))
    }
}

/// Resolves every component of `file`, in the order of their names.
///
/// # Errors
/// Naming what was not found, and the nearest name.
pub fn resolve(file: &BuildFile, wanted: &Wanted, sources: &mut Sources<'_>) -> Result<Vec<Resolved>> {
    for name in wanted.overrides.keys() {
        file.component(name)?;
    }
    file.components
        .iter()
        .map(|(name, component)| resolve_one(file, name, component, wanted, sources))
        .collect()
}

fn resolve_one(
    file: &BuildFile,
    name: &str,
    component: &Component,
    wanted: &Wanted,
    sources: &mut Sources<'_>,
) -> Result<Resolved> {
    let (mirror, source) =
        sources.mirror(&component.source).with_context(|| format!("component `{name}`"))?;
    let offline = sources.offline.as_deref().filter(|_| is_url(&source));
    let lookup = Lookup { file, name, mirror: &mirror, source: &source, offline };
    let of_version = wanted.version.as_deref().unwrap_or(WORKTREE);
    let chosen = wanted.overrides.get(name).map_or(of_version, String::as_str);
    let found = lookup.find(chosen).with_context(|| format!("component `{name}`"))?;
    // A release speaks only of what it pins, and a version that is no release pins nothing.
    let pin = wanted.version.as_ref().and_then(|version| file.releases.get(version)?.get(name));
    let differs_from_pin = match (wanted.overrides.get(name), pin) {
        (Some(_), Some(pin)) => lookup.pinned(pin)?.commit != found.commit || found.dirty,
        _ => false,
    };
    let checkout = checkout::read(name, component, &file.archive.layout, &mirror, &found.tree)
        .with_context(|| format!("component `{name}` at {}", found.tree))?;
    Ok(Resolved {
        name: name.to_owned(),
        toolchain: checkout.toolchain,
        time: mirror.time(&found.commit)?,
        source,
        reference: found.reference,
        commit: found.commit,
        tree: found.tree,
        dirty: found.dirty,
        recipe: checkout.recipe,
        origin: checkout.origin,
        files: checkout.files,
        version: checkout.version,
        differs_from_pin,
    })
}

/// Looking refs up for one component.
struct Lookup<'a> {
    file: &'a BuildFile,
    name: &'a str,
    mirror: &'a Mirror,
    source: &'a str,
    offline: Option<&'a str>,
}

impl Lookup<'_> {
    fn find(&self, reference: &str) -> Result<Found> {
        if reference == WORKTREE {
            return self.worktree();
        }
        if let Some(pin) = self.file.releases.get(reference).and_then(|release| release.get(self.name)) {
            return self.pinned(pin).with_context(|| format!("release `{reference}`"));
        }
        self.named(reference)
    }

    fn worktree(&self) -> Result<Found> {
        if is_url(self.source) {
            let sentence =
                format!("`{}` has no worktree here; name a tag, branch or commit of it", self.source);
            return Err(Failure::usage(sentence));
        }
        let snapshot = self.mirror.snapshot(Path::new(self.source))?;
        Ok(Found {
            commit: snapshot.head,
            tree: snapshot.tree_commit,
            dirty: snapshot.dirty,
            reference: WORKTREE.to_owned(),
        })
    }

    /// What a release pins: its commit if it names one, whatever its ref says now, unless that says something else.
    fn pinned(&self, pin: &Pin) -> Result<Found> {
        let (reference, commit) = match pin {
            Pin::Ref(reference) if reference == WORKTREE => return self.worktree(),
            Pin::Ref(reference) => return self.named(reference),
            Pin::Commit { reference, commit } => (reference, commit.to_ascii_lowercase()),
        };
        if let Some((kind, other)) = self.tag_or_branch(reference).filter(|(_, other)| *other != commit) {
            return Err(Failure::usage(format!(
                "the {kind} `{reference}` is at {other}, but the release pins {commit}; \
                 move it back, or change the pin if the move was meant"
            )));
        }
        if self.mirror.commit(&commit)?.is_none() {
            self.fetch_commit(&commit);
        }
        match self.mirror.commit(&commit)? {
            Some(commit) => {
                Ok(Found { tree: commit.clone(), commit, dirty: false, reference: reference.clone() })
            }
            None => Err(self.missing(&commit)),
        }
    }

    fn named(&self, reference: &str) -> Result<Found> {
        let commit = match self.tag_or_branch(reference) {
            Some((_, commit)) => Some(commit),
            None => self.mirror.commit(reference)?,
        };
        if let Some(commit) = commit {
            return Ok(Found { tree: commit.clone(), commit, dirty: false, reference: reference.to_owned() });
        }
        if reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let full = reference.len() == 40;
            if full {
                self.fetch_commit(reference);
            }
            return match self.mirror.commit(reference)? {
                Some(commit) => {
                    Ok(Found { tree: commit.clone(), commit, dirty: false, reference: reference.to_owned() })
                }
                None if full || self.is_shallow() => Err(self.missing(reference)),
                None => Err(self.unknown(reference)),
            };
        }
        Err(self.unknown(reference))
    }

    fn fetch_commit(&self, commit: &str) {
        if self.offline.is_none() {
            self.mirror.fetch_commit(self.source, commit);
        }
    }

    fn unknown(&self, reference: &str) -> anyhow::Error {
        if let Some(fetch) = self.offline {
            return Failure::unsupported(format!(
                "offline, and when `{}` was last fetched it had no tag, branch or commit `{reference}`; \
                 run {fetch} where there is a network",
                self.source
            ));
        }
        let mut names = self.mirror.names();
        names.extend(self.file.releases.keys().cloned());
        names.push(WORKTREE.to_owned());
        let remedy = suggest::remedy(reference, names.iter().map(String::as_str));
        Failure::usage(format!("`{}` has no tag, branch or commit `{reference}`{remedy}", self.source))
    }

    fn tag_or_branch(&self, name: &str) -> Option<(&'static str, String)> {
        [("tag", "refs/tags/"), ("branch", "refs/heads/"), ("branch", "refs/remotes/origin/")]
            .into_iter()
            .find_map(|(kind, prefix)| Some((kind, self.mirror.reference(&format!("{prefix}{name}"))?)))
    }

    fn is_shallow(&self) -> bool {
        !is_url(self.source) && git::is_shallow(Path::new(self.source))
    }

    fn missing(&self, commit: &str) -> anyhow::Error {
        if self.offline.is_some() {
            return self.unknown(commit);
        }
        let remedy = if self.is_shallow() {
            format!("its history is cut short: run git -C {} fetch --unshallow", self.source)
        } else {
            format!("fetch it into `{}` first", self.source)
        };
        Failure::usage(format!("`{}` has no commit {commit}; {remedy}", self.source))
    }
}

/// Whether a source is a URL: a scheme, or git's short spelling `host:path`.
pub fn is_url(source: &str) -> bool {
    source.contains("://")
        || source.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_told_apart() {
        for url in ["https://host/x.git", "file:///srv/x", "git@host:x.git", "host:x"] {
            assert!(is_url(url), "{url}");
        }
        for path in [".", "../agent", "/srv/a:b", "a/b:c"] {
            assert!(!is_url(path), "{path}");
        }
    }
}
