//! `os`: the lock of a set, packages from a file that carries them, and the sources of what is carried.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::lock::Lock;
use super::set::{self, Set};
use super::world::{Lists, World};
use super::{bring, described, packages_of_the_day, planned};
use crate::answer::answer;
use crate::cache::Cache;
use crate::cli::{Os, OsImport, OsSources, OsTask, OsUpdate};
use crate::failure::Failure;
use crate::plan::Packages;
use crate::progress::{Format, Progress};

/// Runs the command.
///
/// # Errors
/// As the package client has them, and for locks that cannot be.
pub fn command(args: &Os) -> Result<()> {
    match &args.task {
        OsTask::Update(args) => update(args),
        OsTask::Import(args) => import(args),
        OsTask::Sources(args) => sources(args),
    }
}

/// Writes the lock of each set that is meant, and brings its packages.
fn update(args: &OsUpdate) -> Result<()> {
    let progress = Progress::new(Format::Human, false);
    let chosen = args.choice.read()?;
    let cache = args.choice.open_cache("os update", &progress)?;
    for name in meant(&args.os, &chosen.folder)? {
        let set = Set::read(&chosen.folder, &name)?;
        let path = set::path(&chosen.folder, &name, "lock");
        // An old lock that cannot be read is no reason not to write a new one.
        let old = Lock::read(&path, &set, "").ok().flatten().unwrap_or_else(|| Lock::new(Vec::new()));
        let lock = packages_of_the_day(&name, &set, &cache)?;
        let plan = planned(&name, set, lock.clone(), true);
        let cached = bring::bring(&plan, &cache, None, &progress)?;
        progress.say(&format!("{} packages of {name}, {cached} of them from the cache", lock.packages.len()));
        lock.write(&path, &format!("Written by `cargo xtask os update {name}`."))?;
        for line in differences(&old, &lock) {
            answer!("{line}")?;
        }
        answer!("{}: {} packages", path.display(), lock.packages.len())?;
    }
    Ok(())
}

/// What an update changes, a line each.
fn differences(old: &Lock, new: &Lock) -> Vec<String> {
    let names: BTreeSet<&str> =
        old.packages.iter().chain(&new.packages).map(|package| &*package.name).collect();
    let version = |lock: &'_ Lock, name: &str| {
        lock.packages.iter().find(|package| package.name == name).map(|package| package.version.clone())
    };
    let line = |name: &&str| match (version(old, name), version(new, name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("{name} {old} -> {new}")),
        (None, Some(new)) => Some(format!("{name} {new} is new")),
        (Some(old), None) => Some(format!("{name} {old} is gone")),
        (None, None) => None,
    };
    names.iter().filter_map(line).collect()
}

/// Takes packages from a packed file into the cache.
fn import(args: &OsImport) -> Result<()> {
    let progress = Progress::new(Format::Human, false);
    let archive = crate::show::open(&args.file)?;
    archive.verify(&mut |_| ())?;
    let cache = Cache::open(args.cache.as_deref(), "os import", &|owner, _| {
        progress.say(&format!("waiting for {owner}"));
    })?;
    let (all, new) = bring::import(&archive, &cache)?;
    answer!("{}: {all} packages, {new} of them new to the cache", args.file.display())?;
    Ok(())
}

/// Fetches the sources of what the lock of a set names.
fn sources(args: &OsSources) -> Result<()> {
    let progress = Progress::new(Format::Human, false);
    let chosen = args.choice.read()?;
    let cache = args.choice.open_cache("os sources", &progress)?;
    let out = std::path::absolute(&args.out)?;
    for name in meant(&args.os, &chosen.folder)? {
        let set = Set::read(&chosen.folder, &name)?;
        let path = set::path(&chosen.folder, &name, "lock");
        let lock =
            Lock::read(&path, &set, &format!("run cargo xtask os update {name}"))?.ok_or_else(|| {
                Failure::usage(format!("there is no `{}`; run cargo xtask os update {name}", path.display()))
            })?;
        let plan = planned(&name, set, lock, true);
        bring::bring(&plan, &cache, None, &progress)?;
        let (record, _) = described(&plan, &cache)?;
        let sources: BTreeSet<(String, String)> = record
            .packages
            .into_iter()
            .map(|carried| (carried.source.name, carried.source.version))
            .collect();
        let sources: Vec<(String, String)> = sources.into_iter().collect();
        let folder = out.join(&name);
        fetch_sources(&plan, &sources, &cache, &folder, &progress)?;
        answer!("{}: {} source packages", folder.display(), sources.len())?;
    }
    Ok(())
}

fn fetch_sources(
    plan: &Packages,
    sources: &[(String, String)],
    cache: &Cache,
    folder: &Path,
    progress: &Progress,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let world = World::open(
        &cache.apt(&format!("{}-sources", plan.os)),
        &plan.suite,
        &plan.architecture,
        Lists::Source,
    )?;
    world.update()?;
    for (index, source) in sources.iter().enumerate() {
        progress.say(&format!("[{}/{}] {} {}", index + 1, sources.len(), source.0, source.1));
        world.download_sources(std::slice::from_ref(source), folder)?;
    }
    Ok(())
}

/// The sets that are meant: those that are named, or all.
fn meant(named: &[String], folder: &Path) -> Result<Vec<String>> {
    let all = if named.is_empty() { set::names(folder) } else { named.to_vec() };
    if all.is_empty() {
        return Err(Failure::usage(format!("`{}` has no set of packages", folder.display())));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::lock::tests::package;
    use super::*;

    #[test]
    fn an_update_is_told_by_what_it_changes() {
        let old = Lock::new(vec![package("a", "1", "a"), package("b", "1", "b"), package("c", "1", "c")]);
        let new = Lock::new(vec![package("a", "2", "a"), package("b", "1", "b"), package("d", "1", "d")]);
        assert_eq!(differences(&old, &new), ["a 1 -> 2", "c 1 is gone", "d 1 is new"]);
        assert!(differences(&new, &new).is_empty());
    }
}
