//! Staged files to the finished archive, through `packaging-archive`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, Compressed, Content, Description, Input};

use super::Outcome;
use crate::plan::Plan;
use crate::progress::Progress;

/// Compresses what was staged.
pub fn compress(
    inputs: Vec<Input>,
    plan: &Plan,
    cache: &Path,
    jobs: usize,
    progress: &Progress,
) -> Result<Compressed> {
    let total: u64 = inputs.iter().map(size).sum();
    let done = AtomicU64::new(0);
    let at = |bytes: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        progress.at(done.min(total), total, "bytes");
    };
    let compressed = packaging_archive::compress(inputs, &plan.sections, plan.created, cache, jobs, &at)?;
    progress.say(&format!("{} members, {} of them from the cache", compressed.members(), compressed.reused));
    Ok(compressed)
}

fn size(input: &Input) -> u64 {
    match &input.content {
        Content::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Content::Bytes(bytes) => bytes.len() as u64,
    }
}

/// Writes the archive into a folder of its own beside its place, where it waits for [`verify`].
pub fn assemble(
    stub: &str,
    description: Description,
    compressed: &Compressed,
    file: &Path,
) -> Result<Outcome> {
    let unfinished = unfinished(file);
    remove(&unfinished)?;
    match packaging_archive::assemble(stub, description, compressed, &unfinished.join(name(file))) {
        Ok((trailer, sha256)) => Ok(Outcome { file: file.to_owned(), size: trailer.file_bytes, sha256 }),
        Err(error) => {
            let _ = remove(&unfinished);
            Err(error.into())
        }
    }
}

/// Reads the archive back, every entry, runs it once, and only then moves it to its place. Beside it comes its SHA-256 as
/// `sha256sum --check` reads it.
pub fn verify(file: &Path, outcome: &Outcome) -> Result<()> {
    let unfinished = unfinished(file);
    let verified = check(&unfinished.join(name(file))).and_then(|()| publish(&unfinished, file, outcome));
    let removed = remove(&unfinished);
    verified.and(removed)
}

fn check(file: &Path) -> Result<()> {
    Archive::open(file)?.verify_contents(&mut |_| ())?;
    let output = Command::new(file)
        .args(["--quiet", "--check"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", file.display()))?;
    if !output.status.success() {
        bail!("`{} --check` failed: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// An old digest never lies beside a new file: it goes first, and the new one comes last.
fn publish(unfinished: &Path, file: &Path, outcome: &Outcome) -> Result<()> {
    let digest = format!("{}.sha256", name(file));
    let place = file.with_file_name(&digest);
    let publish = || -> std::io::Result<()> {
        fs::write(unfinished.join(&digest), format!("{}  {}\n", outcome.sha256, name(file)))?;
        if place.exists() {
            fs::remove_file(&place)?;
        }
        fs::rename(unfinished.join(name(file)), file)?;
        fs::rename(unfinished.join(&digest), &place)
    };
    publish().with_context(|| format!("cannot write `{}`", file.display()))
}

/// Where an archive is until it is known to be good: on the file system where it will be, so that a rename suffices.
fn unfinished(file: &Path) -> PathBuf {
    file.with_file_name(format!(".{}.unfinished", name(file)))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    Ok(())
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
