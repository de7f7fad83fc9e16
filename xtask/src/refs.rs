//! From what was asked for to exact commits: which ref each component is built at, and what that ref is.
//!
//! A ref is looked up, per component, as `worktree`; the pin of that component in a release of that name; a tag; a
//! branch; a commit. Nothing is guessed: what is not found is refused with the nearest name, and what is found twice with
//! different meanings is refused with both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::buildfile::{self, BuildFile, Component, Pin, Recipe};
use crate::cache::Cache;
use crate::failure::Failure;
use crate::git::{self, Mirror};
use crate::suggest;
use packaging_archive::Origin;

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
    /// Sources relative to `root`.
    pub fn new(cache: &'a Cache, root: PathBuf) -> Self {
        Self { cache, root, mirrors: BTreeMap::new() }
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
        let mirror = Mirror::update(&self.cache.mirror(&source), &source)?;
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
    let lookup = Lookup { file, name, mirror: &mirror, source: &source };
    let of_version = wanted.version.as_deref().unwrap_or(WORKTREE);
    let chosen = wanted.overrides.get(name).map_or(of_version, String::as_str);
    let found = lookup.find(chosen).with_context(|| format!("component `{name}`"))?;
    // A release speaks only of what it pins, and a version that is no release pins nothing.
    let pin = wanted.version.as_ref().and_then(|version| file.releases.get(version)?.get(name));
    let differs_from_pin = match (wanted.overrides.get(name), pin) {
        (Some(_), Some(pin)) => lookup.pinned(pin)?.commit != found.commit || found.dirty,
        _ => false,
    };
    let (recipe, origin) = recipe(name, component, &mirror, &found.tree)?;
    let files = carried(name, &recipe, file, &mirror, &found.tree)?;
    let version = recipe
        .version_file
        .as_deref()
        .map(|path| own_version(name, path, &mirror, &found.tree))
        .transpose()?;
    Ok(Resolved {
        name: name.to_owned(),
        toolchain: toolchain_of(&mirror, &found.tree)?,
        time: mirror.time(&found.commit)?,
        source,
        reference: found.reference,
        commit: found.commit,
        tree: found.tree,
        dirty: found.dirty,
        recipe,
        origin,
        files,
        version,
        differs_from_pin,
    })
}

/// Looking refs up for one component.
struct Lookup<'a> {
    file: &'a BuildFile,
    name: &'a str,
    mirror: &'a Mirror,
    source: &'a str,
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
            self.mirror.fetch_commit(self.source, &commit);
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
        if reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.mirror.fetch_commit(self.source, reference);
            return match self.mirror.commit(reference)? {
                Some(commit) => {
                    Ok(Found { tree: commit.clone(), commit, dirty: false, reference: reference.to_owned() })
                }
                None => Err(self.missing(reference)),
            };
        }
        let mut names = self.mirror.names();
        names.extend(self.file.releases.keys().cloned());
        names.push(WORKTREE.to_owned());
        let remedy = suggest::remedy(reference, names.iter().map(String::as_str));
        Err(Failure::usage(format!("`{}` has no tag, branch or commit `{reference}`{remedy}", self.source)))
    }

    fn tag_or_branch(&self, name: &str) -> Option<(&'static str, String)> {
        [("tag", "refs/tags/"), ("branch", "refs/heads/"), ("branch", "refs/remotes/origin/")]
            .into_iter()
            .find_map(|(kind, prefix)| Some((kind, self.mirror.reference(&format!("{prefix}{name}"))?)))
    }

    fn missing(&self, commit: &str) -> anyhow::Error {
        let remedy = if !is_url(self.source) && git::is_shallow(Path::new(self.source)) {
            format!("its history is cut short: run git -C {} fetch --unshallow", self.source)
        } else {
            format!("fetch it into `{}` first", self.source)
        };
        Failure::usage(format!("`{}` has no commit {commit}; {remedy}", self.source))
    }
}

fn recipe(name: &str, component: &Component, mirror: &Mirror, tree: &str) -> Result<(Recipe, Origin)> {
    if let Some(text) = mirror.show(tree, buildfile::NAME)? {
        let own = buildfile::recipe_in(&text, name)
            .with_context(|| format!("component `{name}`: its own {} at {tree}", buildfile::NAME))?;
        if let Some(own) = own {
            return Ok((own, Origin::Checkout));
        }
    }
    if component.recipe.kind.is_none() {
        let sentence = format!(
            "component `{name}` has no recipe: add `kind` to `[component.{name}]`, here or in its own build.toml"
        );
        return Err(Failure::usage(sentence));
    }
    Ok((component.recipe.clone(), Origin::Manifest))
}

/// Every file that the recipe names, with folders replaced by what the commit holds in them.
fn carried(
    name: &str,
    recipe: &Recipe,
    file: &BuildFile,
    mirror: &Mirror,
    tree: &str,
) -> Result<Vec<CarriedFile>> {
    let layout = &file.archive.layout;
    let mut rules: Vec<(String, String)> = Vec::new();
    for unit in &recipe.units {
        rules.push((unit.clone(), format!("{}/{}", layout.units, last_part(unit))));
    }
    for config in &recipe.config {
        rules.push((config.clone(), format!("{}/{}", layout.config, last_part(config))));
    }
    for rule in &recipe.files {
        let (from, to) = match rule {
            buildfile::FileRule::Path(path) => (path.clone(), last_part(path).to_owned()),
            buildfile::FileRule::Renamed { from, to } => (from.clone(), to.clone()),
        };
        rules.push((from, format!("{}/{to}", layout.files)));
    }
    let mut carried = Vec::new();
    for (from, to) in rules {
        let from = from.trim_end_matches('/');
        let files = mirror.files(tree, from).with_context(|| format!("component `{name}`"))?;
        if files.is_empty() {
            return Err(Failure::usage(format!(
                "component `{name}`: there is no `{from}` at {tree}; mend its recipe"
            )));
        }
        for blob in files {
            let below = if from == "." { Some(blob.path.as_str()) } else { blob.path.strip_prefix(from) };
            let below = below.unwrap_or_default().trim_start_matches('/');
            let to = if below.is_empty() { to.clone() } else { format!("{to}/{below}") };
            carried.push(CarriedFile { from: blob.path.clone(), to, executable: blob.executable });
        }
    }
    Ok(carried)
}

fn own_version(name: &str, path: &str, mirror: &Mirror, tree: &str) -> Result<String> {
    let text = mirror.show(tree, path)?.ok_or_else(|| {
        Failure::usage(format!(
            "component `{name}`: there is no version file `{path}` at {tree}; mend its recipe"
        ))
    })?;
    if !path.ends_with(".json") {
        return Ok(text.trim().to_owned());
    }
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("component `{name}`: `{path}`: {error}")))?;
    let version = json["version"].as_str().map(str::to_owned);
    version.ok_or_else(|| Failure::usage(format!("component `{name}`: `{path}` has no text `version`")))
}

/// The channel in a tree's toolchain file, in either of its two spellings.
pub fn toolchain_of(mirror: &Mirror, tree: &str) -> Result<Option<String>> {
    for file in ["rust-toolchain.toml", "rust-toolchain"] {
        if let Some(text) = mirror.show(tree, file)? {
            return channel_in(&text).map(Some).ok_or_else(|| {
                Failure::usage(format!(
                    "`{file}` at {tree} names no channel; only toolchains of rustup can be built with"
                ))
            });
        }
    }
    Ok(None)
}

fn channel_in(text: &str) -> Option<String> {
    match text.parse::<toml::Table>() {
        Ok(table) => Some(table.get("toolchain")?.get("channel")?.as_str()?.to_owned()),
        // The old spelling is the bare name.
        Err(_) => Some(text.trim().to_owned())
            .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace)),
    }
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
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

    #[test]
    fn both_toolchain_files_name_a_channel() {
        assert_eq!(channel_in("[toolchain]\nchannel = \"1.95.0\"\n").as_deref(), Some("1.95.0"));
        assert_eq!(channel_in("stable\n").as_deref(), Some("stable"));
        assert_eq!(channel_in("[toolchain]\npath = \"/x\"\n"), None);
    }
}
