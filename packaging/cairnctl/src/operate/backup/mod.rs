//! `backup`: a new one, those that there are, and how many are kept. What one is made of is in `snapshot`, what one is good for in
//! [`restore`](restore::restore).

mod restore;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::Installed;
use super::args::{BackupArgs, BackupVerb};
use crate::answer::Answer;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::preflight::utc;
use crate::root::Root;
use crate::say::{self, say};
use crate::snapshot;
use crate::transaction::{self, Interrupt, ago, may_change, now};
pub use restore::restore;

/// What one is called at its end.
const END: &str = ".tar.gz";

/// A backup that was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// The version that worked with the data.
    pub version: String,
    /// Seconds since 1970.
    pub taken: u64,
    /// Whether the configuration is in it, too; the copies that `upgrade` makes have the server's data alone.
    pub configuration: bool,
}

/// Those in a folder, the oldest first.
pub fn all(folder: &Path) -> Vec<Found> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<Found> = entries.filter_map(|path| of(&path)).collect();
    // Of one second, the numbered names are later.
    let order = |found: &Found| (found.taken, found.path.as_os_str().len(), found.path.clone());
    found.sort_by_key(order);
    found
}

fn of(path: &Path) -> Option<Found> {
    if is_file_of_ours(path) {
        let record = snapshot::read(path).ok()?;
        let (version, taken) = (record.version, record.taken);
        return Some(Found { path: path.to_owned(), version, taken, configuration: true });
    }
    let backup = transaction::backup::read(path).ok()??;
    let (version, taken) = (backup.version, backup.taken);
    Some(Found { path: path.to_owned(), version, taken, configuration: false })
}

fn is_file_of_ours(path: &Path) -> bool {
    path.is_file() && path.to_string_lossy().ends_with(END) && !host::is_passing(path)
}

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; no half backup is left.
pub fn command(args: &BackupArgs, quiet: bool) -> Result<Code> {
    if let Some(BackupVerb::List(args)) = &args.verb {
        return list(&Installed::find(&args.root)?.layout, args.json);
    }
    let mut answer = Answer::of("backup");
    let done = backed_up(args, quiet || args.at.json, &mut answer);
    answer.give(args.at.json, done)
}

fn list(layout: &Layout, json: bool) -> Result<Code> {
    let found = all(&layout.backups());
    if json {
        say::answer((json!({ "backups": found }).to_string() + "\n").as_bytes())?;
        return Ok(Code::Ok);
    }
    for backup in &found {
        let what = if backup.configuration { "" } else { ", the server's data alone" };
        let (path, taken) = (backup.path.display(), utc(backup.taken));
        say!("{path}  {taken} ({}), {}{what}", ago(backup.taken), backup.version);
    }
    if found.is_empty() {
        say!("there is no backup in {}", layout.backups().display());
    }
    Ok(Code::Ok)
}

fn backed_up(args: &BackupArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    let _interrupt = Interrupt::new()?;
    let installed = Installed::find(&args.at.root)?;
    may_change(&installed.layout, args.dry_run)?;
    let _root = Root::find(&args.at.root)?;
    installed.refuse_pending()?;
    let (layout, receipt) = (&installed.layout, &installed.receipt);
    let folder = args.to.clone().unwrap_or_else(|| layout.backups());
    let file = free_name(&folder, &format!("{}-{}-{}", receipt.product, receipt.version, stamp(now())));
    answer.steps.push(format!("back up to {}", file.display()));
    let keep = args.keep.map(|keep| keep as usize);
    if args.dry_run {
        let old = keep.map(|keep| surplus(&folder, &receipt.product, keep.saturating_sub(1)));
        answer.steps.extend(old.into_iter().flatten().map(|path| format!("remove {}", path.display())));
        if !quiet {
            answer.steps.iter().for_each(|step| say!("{step}"));
        }
        return Ok("planned");
    }
    if !folder.is_dir() {
        host::make_folders(folder.parent().unwrap_or(&folder))?;
        host::make_folder(&folder, 0o700)?;
    }
    host::sweep(&folder)?;
    has_room(layout, &folder)?;
    snapshot::write(layout, receipt, &file)?;
    // A backup that cannot be read is none.
    snapshot::unpack(&file, None)?;
    if !quiet {
        say!("backed up to {}", file.display());
        say!("  it holds keys and the password's hash: keep it where nobody else reads it");
    }
    for old in keep.map(|keep| surplus(&folder, &receipt.product, keep)).into_iter().flatten() {
        host::remove(&old)?;
        answer.steps.push(format!("remove {}", old.display()));
        if !quiet {
            say!("removed {}", old.display());
        }
    }
    Ok("done")
}

/// A name that nothing has, in a second in which there is one already too.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let names = (1..).map(|number: u32| match number {
        1 => folder.join(format!("{name}{END}")),
        _ => folder.join(format!("{name}-{number}{END}")),
    });
    names.into_iter().find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| folder.join(name))
}

/// Seconds since 1970 as `20260131T080000Z`, for names.
pub fn stamp(seconds: u64) -> String {
    utc(seconds).trim_end_matches(" UTC").replace(['-', ':'], "").replace(' ', "T") + "Z"
}

/// Those that are too many, of those that this verb has named.
fn surplus(folder: &Path, product: &str, keep: usize) -> Vec<PathBuf> {
    let begin = format!("{product}-");
    let is_ours =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin));
    let mut found = all(folder);
    found.retain(|backup| backup.configuration && is_ours(&backup.path));
    let surplus = found.len().saturating_sub(keep);
    found.into_iter().take(surplus).map(|backup| backup.path).collect()
}

/// Sees that there is room for the copy of the database and for the file.
fn has_room(layout: &Layout, folder: &Path) -> Result<()> {
    let data = host::tree(&layout.root().join(snapshot::SERVER));
    let bytes: u64 = data.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
    let needed = bytes.saturating_mul(2).saturating_add(4 << 20);
    let statistics = rustix::fs::statvfs(folder)?;
    let free = statistics.f_bavail.saturating_mul(statistics.f_frsize);
    if free < needed {
        let sentence = format!(
            "`{}` has {} MiB left, and {} MiB may be needed; free some, or use --to",
            folder.display(),
            free >> 20,
            needed >> 20
        );
        return Err(Exit::error(Code::NoSpace, sentence));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_is_free() {
        assert_eq!(stamp(0), "19700101T000000Z");
        let folder = tempfile::tempdir().unwrap();
        for expected in ["a.tar.gz", "a-2.tar.gz", "a-3.tar.gz"] {
            let path = free_name(folder.path(), "a");
            assert_eq!(path, folder.path().join(expected));
            fs::write(path, "").unwrap();
        }
    }
}
