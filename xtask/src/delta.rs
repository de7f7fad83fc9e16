//! `delta`: what a new packed file has and an old one lacks, for those who carry files to hosts by hand.
//!
//! Nothing is compiled: both files are there. The delta gets its name when its own helper has made the new file with it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, Digest, Error, PrivateKey, Trailer, hex, make_delta};

use crate::all_in_one::tree;
use crate::answer::answer;
use crate::cli::Delta;
use crate::failure::Failure;
use crate::supply::Beside;
use crate::{environment, key, publish, show};

/// Makes the delta, applies it once, and puts it in its place.
///
/// # Errors
/// Exit code 1 for two files that no delta can be between, 2 for a damaged one. Nothing is left then.
pub fn command(args: &Delta) -> Result<()> {
    let (old, new) = (show::open(&args.old)?, show::open(&args.new)?);
    let key = key::given(&args.key)?;
    let out = args.out.clone().unwrap_or_else(|| tree().join("target/dist"));
    let file = std::path::absolute(out)?.join(file_name(&old, &new));
    let waiting = publish::waiting(&file)?;
    let made = make(&old, &new, key.as_ref(), &waiting).and_then(|(trailer, digest)| {
        publish::publish(&file, &digest, key.as_ref(), &Beside::default())?;
        Ok((trailer, digest))
    });
    let removed = publish::discard(&file);
    let (trailer, digest) = made?;
    removed?;

    let (from, to) = (old.manifest(), new.manifest());
    let whole = new.trailer().file_bytes;
    answer!("{} {} from {}", to.product, to.version, from.version)?;
    answer!("starts from the file with the digest {}", hex(&old.trailer().digest))?;
    answer!("{} bytes in the place of {whole}", trailer.file_bytes)?;
    if let Some(key) = &key {
        answer!("signed by {}", key.public().fingerprint())?;
    }
    answer!("{} {} bytes sha256 {}", file.display(), trailer.file_bytes, hex(&digest))?;
    Ok(())
}

/// Called as the files are, with both versions.
fn file_name(old: &Archive, new: &Archive) -> String {
    let (from, to) = (old.manifest(), new.manifest());
    let machine = to.build.target.split('-').next().unwrap_or_default();
    format!("{}-all-in-one-{}-to-{}-{machine}.run", to.product, from.version, to.version)
}

fn make(old: &Archive, new: &Archive, key: Option<&PrivateKey>, waiting: &Path) -> Result<(Trailer, Digest)> {
    let stub = tree().join("packaging/stub.sh");
    let stub = std::fs::read_to_string(&stub).with_context(|| format!("cannot read `{}`", stub.display()))?;
    let made = make_delta(old, new, &stub, key, waiting).map_err(|error| match error {
        Error::Input { path, what } => {
            Failure::usage(format!("no delta is made with `{}`: {what}", path.display()))
        }
        other => other.into(),
    })?;
    prove(old, new, waiting)?;
    Ok(made)
}

/// Lets the delta make the new file, as it will on a host, and compares every byte.
fn prove(old: &Archive, new: &Archive, delta: &Path) -> Result<()> {
    // What knows nothing of deltas does not even say its version.
    if !run(delta, &["version".as_ref()])?.status.success() {
        return Err(Failure::usage(format!(
            "the control tool in `{}` knows nothing of deltas; pack that version again with this toolchain",
            new.path().display()
        )));
    }
    let made = delta.with_added_extension("made");
    let base = std::path::absolute(old.path())?;
    let output = run(delta, &["apply".as_ref(), "--base".as_ref(), &base, "--out".as_ref(), &made])?;
    if !output.status.success() {
        bail!("the delta could not be applied: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    if !same(&made, new.path())? {
        bail!("the delta does not make `{}`; try again", new.path().display());
    }
    Ok(())
}

fn run(delta: &Path, words: &[&Path]) -> Result<Output> {
    let mut command = Command::new(delta);
    environment::restrict(&mut command);
    // Whom this machine trusts and what is installed on it is of no concern.
    command.env("CAIRN_ROOT", delta.parent().unwrap_or(delta));
    let output = command.args(words).stdin(Stdio::null()).output();
    output.with_context(|| format!("cannot run `{}`", delta.display()))
}

fn same(one: &Path, other: &Path) -> Result<bool> {
    let compare = || -> std::io::Result<bool> {
        let (mut one, mut other) = (File::open(one)?, File::open(other)?);
        let mut left = one.metadata()?.len();
        if other.metadata()?.len() != left {
            return Ok(false);
        }
        let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        while left > 0 {
            let count = usize::try_from(left).map_or(ours.len(), |left| left.min(ours.len()));
            one.read_exact(&mut ours[..count])?;
            other.read_exact(&mut theirs[..count])?;
            if ours[..count] != theirs[..count] {
                return Ok(false);
            }
            left -= count as u64;
        }
        Ok(true)
    };
    compare().with_context(|| format!("cannot compare `{}` with `{}`", one.display(), other.display()))
}
