//! Staged files to the finished archive, through `packaging-archive`.

use std::path::Path;
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

/// Writes the archive, and beside it its SHA-256 as `sha256sum --check` reads it.
pub fn assemble(
    stub: &str,
    description: Description,
    compressed: &Compressed,
    file: &Path,
) -> Result<Outcome> {
    let (trailer, sha256) = packaging_archive::assemble(stub, description, compressed, file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!("{name}.sha256"));
    std::fs::write(&beside, format!("{sha256}  {name}\n"))
        .with_context(|| format!("cannot write `{}`", beside.display()))?;
    Ok(Outcome { file: file.to_owned(), size: trailer.file_bytes, sha256 })
}

/// Reads the archive back, every entry, and runs it once.
pub fn verify(file: &Path) -> Result<()> {
    Archive::open(file)?.verify_contents(&mut |_| ())?;
    let file = file.canonicalize()?;
    let output = Command::new(&file)
        .args(["--quiet", "--check"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", file.display()))?;
    if !output.status.success() {
        bail!("`{} --check` failed: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
