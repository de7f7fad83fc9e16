//! `verify` and `inspect`: what a packed file is, told on the release engineer's machine.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use packaging_archive::Archive;

use crate::cli::Inspect;
use crate::failure::Failure;
use crate::progress::Format;

/// Checks every byte and every entry.
///
/// # Errors
/// Exit code 2 for a file that is not as it was packed.
pub fn verify(file: &Path) -> Result<()> {
    let archive = open(file)?;
    archive.verify_contents(&mut |_| ())?;
    let manifest = archive.manifest();
    println!(
        "ok: {} {}, {} entries, every byte as it was packed",
        manifest.product,
        manifest.version,
        manifest.entries.len()
    );
    Ok(())
}

/// Prints what a file was built from.
///
/// # Errors
/// If it cannot be read.
pub fn inspect(args: &Inspect) -> Result<()> {
    let archive = open(&args.file)?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => out.write_all(archive.manifest_json())?,
        Format::Human => write!(out, "{}", archive.manifest())?,
    }
    Ok(())
}

fn open(file: &Path) -> Result<Archive> {
    if !file.exists() {
        return Err(Failure::usage(format!(
            "there is no file `{}`; name one that cargo xtask all-in-one has made",
            file.display()
        )));
    }
    Ok(Archive::open(file)?)
}
