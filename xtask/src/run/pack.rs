//! Staged files to the finished archive, through `packaging-archive`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, Compressed, Content, Description, Input, PrivateKey};

use super::Outcome;
use crate::environment;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::publish;
use crate::supply::Beside;

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
    let compressed = packaging_archive::compress(inputs, &plan.sections, cache, jobs, &at)?;
    progress.say(&format!("{} members, {} of them from the cache", compressed.members(), compressed.reused));
    Ok(compressed)
}

fn size(input: &Input) -> u64 {
    match &input.content {
        Content::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Content::Bytes(bytes) => bytes.len() as u64,
    }
}

/// Writes the archive to where it waits for [`verify`].
pub fn assemble(
    stub: &str,
    description: Description,
    compressed: &Compressed,
    key: Option<&PrivateKey>,
    file: &Path,
) -> Result<Outcome> {
    let waiting = publish::waiting(file)?;
    match packaging_archive::assemble(stub, description, compressed, key, &waiting) {
        Ok((trailer, digest)) => Ok(Outcome { file: file.to_owned(), size: trailer.file_bytes, digest }),
        Err(error) => {
            let _ = publish::discard(file);
            Err(error.into())
        }
    }
}

/// Reads the archive back, every entry, runs it once, and only then moves it to its place.
pub fn verify(file: &Path, outcome: &Outcome, key: Option<&PrivateKey>, beside: &Beside) -> Result<()> {
    let verified =
        check(&publish::waits(file), key).and_then(|()| publish::publish(file, &outcome.digest, key, beside));
    let removed = publish::discard(file);
    verified.and(removed)
}

fn check(file: &Path, key: Option<&PrivateKey>) -> Result<()> {
    let archive = Archive::open(file)?;
    archive.verify_contents(&mut |_| ())?;
    if archive.signer() != key.map(PrivateKey::public).as_ref() {
        bail!("`{}` is not signed as it was planned", file.display());
    }
    let mut command = Command::new(file);
    environment::restrict(&mut command);
    // Whom this machine trusts is about what is installed on it, not about what is built here.
    command.env("CAIRN_ROOT", file.parent().unwrap_or(file));
    let output = command
        .args(["--quiet", "--check"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", file.display()))?;
    if !output.status.success() {
        bail!("`{} --check` failed: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
