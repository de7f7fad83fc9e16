//! Packages of an operating system that are carried along for hosts without a network.
//!
//! `set` says what hosts need, `world` asks the ordinary package client what that takes on a host that has nothing, `lock` holds
//! the answer: for a release in a file beside the set, else in the cache as that of the day. `bring` fetches files into the cache by
//! their content, `deb` reads what each says of itself, `record` writes it down. `guest` makes the guest image of packages. No mirror is named here: the machine knows its own.

mod bring;
mod command;
mod copyright;
mod deb;
pub mod guest;
mod lock;
mod record;
mod set;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use packaging_archive::Archive;

use crate::cache::{Cache, used};
use crate::cli::OsArgs;
use crate::failure::Failure;
use crate::plan::Packages;
use crate::progress::Progress;
use crate::version::Version;
use lock::Lock;
use set::Set;
use world::{Lists, World};

pub use bring::bring;
pub use command::command;
pub use lock::Package;
pub use record::Record;

/// Where the packages of an operating system lie in a packed file, below a folder of its name.
pub const FOLDER: &str = "share/os";

/// The record's file there.
pub const RECORD: &str = "packages.json";

/// The index's file there, as package managers call it.
pub const INDEX: &str = "Packages";

/// Finds out exactly what is to be carried: for a named version by its lock, else, or if that is asked for, by what the mirror
/// has now. `folder` is that of the manifest; `offline` the command that fetches where no connection may be opened.
///
/// # Errors
/// If there is no such set, a lock is missing or lacks something, or the mirror cannot be asked.
pub fn resolve(
    args: &OsArgs,
    folder: &Path,
    version: Option<&Version>,
    cache: &Cache,
    offline: Option<&str>,
    progress: &Progress,
) -> Result<Vec<Packages>> {
    let mut all: Vec<Packages> = Vec::new();
    let guest = guest::SET.to_owned();
    // --guest is short for the set by its name.
    let short = (args.guest && !args.os.contains(&guest)).then_some(&guest);
    for name in args.os.iter().chain(short) {
        if all.iter().any(|packages| packages.os == *name) {
            return Err(Failure::usage(format!("--os names `{name}` twice; keep one")));
        }
        let set = Set::read(folder, name)?;
        let locked = version.filter(|_| !args.os_unlocked);
        let lock = match (locked, offline) {
            (Some(version), _) => locked_packages(folder, name, &set, version)?,
            (None, Some(fetch)) => kept_packages(name, &set, cache, fetch)?,
            (None, None) => {
                progress.say(&format!("asking which packages of {name} there are"));
                packages_of_the_day(name, &set, cache)?
            }
        };
        all.push(planned(name, set, lock, locked.is_some()));
    }
    Ok(all)
}

fn planned(name: &str, set: Set, lock: Lock, locked: bool) -> Packages {
    Packages {
        os: name.to_owned(),
        suite: set.suite,
        architecture: set.architecture,
        locked,
        roles: set.roles.into_iter().map(|(role, needs)| (role, needs.packages)).collect(),
        packages: lock.packages,
    }
}

fn locked_packages(folder: &Path, name: &str, set: &Set, version: &Version) -> Result<Lock> {
    let path = set::path(folder, name, "lock");
    let remedy = format!("run cargo xtask os update {name}");
    Lock::read(&path, set, &remedy)?.ok_or_else(|| {
        Failure::usage(format!(
            "`{version}` is a named version, and there is no `{}` that says which packages it carries; {remedy}, or add \
             --os-unlocked for those of the day",
            path.display()
        ))
    })
}

/// Where the packages of the day are written down.
fn of_the_day(cache: &Cache, name: &str) -> std::path::PathBuf {
    cache.apt(name).join("of-the-day.lock")
}

fn kept_packages(name: &str, set: &Set, cache: &Cache, fetch: &str) -> Result<Lock> {
    let remedy = format!("run {fetch} where there is a network");
    let kept = Lock::read(&of_the_day(cache, name), set, &remedy)?;
    kept.ok_or_else(|| {
        Failure::unsupported(format!("offline, and the packages of {name} were never fetched; {remedy}"))
    })
}

fn packages_of_the_day(name: &str, set: &Set, cache: &Cache) -> Result<Lock> {
    let world = World::open(&used(cache.apt(name)), &set.suite, &set.architecture, Lists::Binary)?;
    world.update().with_context(|| format!("cannot ask for the packages of {name}"))?;
    let named: Vec<&str> = set.named().into_iter().collect();
    let lock = Lock::new(world.closure(&named).with_context(|| format!("cannot carry what {name} needs"))?);
    lock.write(&of_the_day(cache, name), "The packages of the day, for builds without a network.")?;
    Ok(lock)
}

/// What a packed file says of the packages of `os` that it carries, as a line for people.
///
/// # Errors
/// If it holds no record of them.
pub fn told(archive: &Archive, os: &str) -> Result<String> {
    let mut json = Vec::new();
    archive.read_entry(&format!("{FOLDER}/{os}/{RECORD}"), &mut json)?;
    let record: serde_json::Value =
        serde_json::from_slice(&json).context("its record of packages is not JSON")?;
    let number = record["packages"].as_array().map(Vec::len).unwrap_or_default();
    let versions = if record["locked"] == true { "those of a lock" } else { "those of the day" };
    Ok(format!("carries {number} packages of {os}, {versions}"))
}

/// The guest image of the packages that were planned for it, and the record of what is in it.
///
/// # Errors
/// If a package is not what it should be.
pub fn guest_image(planned: &Packages, cache: &Cache, folder: &Path) -> Result<(Record, Vec<u8>)> {
    let image = guest::make(planned, &cache.packages(), folder)?;
    let inside = guest::inside(&planned.packages).cloned().collect();
    let (record, _) = described(&Packages { packages: inside, ..planned.clone() }, cache)?;
    Ok((record, image))
}

/// What each package of a plan says of itself, by name, and the record of all.
///
/// # Errors
/// If one is not in the cache, or is no package.
pub fn described(planned: &Packages, cache: &Cache) -> Result<(Record, String)> {
    let folder = cache.packages();
    let mut facts = BTreeMap::new();
    for package in &planned.packages {
        let file = |extension: &str| folder.join(format!("{}.{extension}", package.sha256));
        facts.insert(package.name.clone(), deb::facts(&file("deb"), &file("json"))?);
        used(file("json"));
    }
    let record = record::record(planned, &facts)?;
    let index = record.index(&facts);
    Ok((record, index))
}
