//! Packages into the cache, where each lies under its SHA-256: what is there is never asked for again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use packaging_archive::Archive;

use super::lock::Package;
use super::world::{Lists, World};
use crate::cache::{Cache, used};
use crate::digest::{hex_of, hex_of_file};
use crate::failure::Failure;
use crate::plan::Packages;
use crate::progress::Progress;

/// How many packages the client is asked for in one call, so that progress shows.
const AT_ONCE: usize = 16;

/// Makes sure that the cache holds every package that was planned, and says how many it had. `offline` is the command that fetches
/// where no connection may be opened.
///
/// # Errors
/// If one is not there any more, is another than it was, or cannot be had.
pub fn bring(planned: &Packages, cache: &Cache, offline: Option<&str>, progress: &Progress) -> Result<usize> {
    let (name, packages) = (&planned.os, &planned.packages);
    let folder = cache.packages();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let mut missing = Vec::new();
    for package in packages {
        let kept = folder.join(format!("{}.deb", package.sha256));
        if kept.exists() && hex_of_file(&kept)? == package.sha256 {
            used(kept);
        } else {
            missing.push(package);
        }
    }
    let cached = packages.len() - missing.len();
    if missing.is_empty() {
        return Ok(cached);
    }
    if let Some(fetch) = offline {
        let sentence = format!(
            "offline, and {} of {} packages of {name} are not in the cache, `{}` among them; run {fetch} where there is a network",
            missing.len(),
            packages.len(),
            missing[0].name
        );
        return Err(Failure::unsupported(sentence));
    }
    let world = World::open(&cache.apt(name), &planned.suite, &planned.architecture, Lists::Binary)?;
    world.update()?;
    refuse_gone(name, &missing, &world)?;
    let total: u64 = missing.iter().map(|package| package.size).sum();
    let (part, mut done) = (folder.join("part"), 0);
    for some in missing.chunks(AT_ONCE) {
        progress.at(done, total, "bytes");
        empty(&part)?;
        world.download(some, &part)?;
        keep(some, &part, &folder)?;
        done += some.iter().map(|package| package.size).sum::<u64>();
    }
    fs::remove_dir_all(&part).with_context(|| format!("cannot remove `{}`", part.display()))?;
    Ok(cached)
}

/// Mirrors keep only versions of now.
fn refuse_gone(name: &str, packages: &[&Package], world: &World) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let versions = world.versions(&names)?;
    for package in packages {
        let known = versions.get(&package.name).map(Vec::as_slice).unwrap_or_default();
        if known.contains(&package.version) {
            continue;
        }
        let now = known.first().map_or("none".to_owned(), |version| format!("`{version}`"));
        return Err(Failure::usage(format!(
            "package `{}` is wanted in version `{}`, and the mirror has {now}; run cargo xtask os update {name} for the \
             versions of now, or take the old ones from a file that carries them: cargo xtask os import FILE.run",
            package.name, package.version
        )));
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))
}

/// Moves what was brought to where it is kept, whatever the client has called it.
fn keep(packages: &[&Package], part: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(part).with_context(|| format!("cannot read `{}`", part.display()))? {
        let path = entry?.path();
        let digest = hex_of_file(&path)?;
        fs::rename(&path, folder.join(format!("{digest}.deb")))
            .with_context(|| format!("cannot move `{}`", path.display()))?;
    }
    for package in packages {
        let kept = folder.join(format!("{}.deb", package.sha256));
        if !kept.exists() {
            return Err(Failure::damaged(format!(
                "the mirror has another `{}` {} than the one with SHA-256 {}; find out why before you run cargo xtask os update",
                package.name, package.version, package.sha256
            )));
        }
    }
    Ok(())
}

/// Takes the packages that a packed file carries, and says how many the cache had not.
///
/// # Errors
/// If the file carries none, or is damaged.
pub fn import(archive: &Archive, cache: &Cache) -> Result<(usize, usize)> {
    let folder = cache.packages();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let (mut all, mut new) = (0, 0);
    for section in archive.manifest().sections.iter().filter(|section| section.os().is_some()) {
        archive.visit(&section.name, &mut |entry, content| {
            let kept = folder.join(format!("{}.deb", entry.sha256));
            if !entry.path.as_str().ends_with(".deb") {
                return Ok(());
            }
            all += 1;
            let mut bytes = Vec::new();
            let failed = |source| packaging_archive::Error::Io { action: "keep", path: kept.clone(), source };
            content.read_to_end(&mut bytes).map_err(failed)?;
            if kept.exists() && hex_of_file(&kept).is_ok_and(|digest| digest == hex_of(&bytes)) {
                return Ok(());
            }
            new += 1;
            let part = kept.with_extension("new");
            fs::write(&part, &bytes).and_then(|()| fs::rename(&part, &kept)).map_err(failed)
        })?;
    }
    if all == 0 {
        let sentence = format!(
            "`{}` carries no packages of an operating system; name one that was built with --os",
            archive.path().display()
        );
        return Err(Failure::usage(sentence));
    }
    Ok((all, new))
}
