//! What is in an archive, shown or unpacked. Nothing here touches a host.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Manifest, hex};

use crate::args::{ExtractArgs, InspectArgs};
use crate::exit::{Code, Exit};
use crate::say::{self, say};

/// The archive that a verb is about.
///
/// # Errors
/// If none was named.
pub fn required(archive: Option<Archive>) -> Result<Archive> {
    archive.ok_or_else(|| {
        Exit::error(
            Code::Usage,
            "this verb is about a .run file; run the file itself, or write cairnctl --archive FILE VERB",
        )
    })
}

/// `list`.
pub fn list(archive: Option<Archive>) -> Result<Code> {
    let archive = required(archive)?;
    let mut list = String::new();
    for entry in &archive.manifest().entries {
        writeln!(list, "{:04o} {:>11} {:<10} {}", entry.mode.bits(), entry.size, entry.section, entry.path)?;
    }
    say::answer(list.as_bytes())?;
    Ok(Code::Ok)
}

/// `inspect`.
pub fn inspect(args: &InspectArgs, archive: Option<Archive>) -> Result<Code> {
    let archive = required(archive)?;
    if args.json {
        say::answer(archive.manifest_json())?;
    } else {
        let signed = match archive.signer() {
            Some(signer) => format!("signed by {}\n", signer.fingerprint()),
            None => "not signed\n".to_owned(),
        };
        let trailer = archive.trailer();
        let digest = format!("{} bytes, digest {}\n", trailer.file_bytes, hex(&trailer.digest));
        say::answer(format!("{}{digest}{signed}", archive.manifest()).as_bytes())?;
    }
    Ok(Code::Ok)
}

/// `version`.
pub fn version(archive: Option<Archive>) -> Result<Code> {
    if let Some(archive) = archive {
        let manifest = archive.manifest();
        let from = manifest.delta.as_ref().map(|delta| format!(", a delta from {}", delta.base.version));
        say!("{} {}{}", manifest.product, manifest.version, from.unwrap_or_default());
    } else {
        let program = std::env::current_exe().unwrap_or_default();
        say!("{}", crate::STAMP.version_text("cairnctl", &program));
    }
    Ok(Code::Ok)
}

/// `extract`.
pub fn extract(args: &ExtractArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let archive = required(archive)?;
    if let Some(entry) = &args.entry {
        let mut out = std::io::stdout().lock();
        archive.read_entry(entry, &mut out)?;
        return Ok(Code::Ok);
    }
    let dir = keep_in(args.dir.clone().unwrap_or_default(), archive.manifest());
    if !args.only.is_empty() {
        let count = archive
            .extract_only(&dir, &args.only)
            .with_context(|| format!("cannot extract to `{}`", dir.display()))?;
        if !quiet {
            let files = if count == 1 { "file" } else { "files" };
            say!("extracted {count} {files} to {}", dir.display());
        }
        return Ok(Code::Ok);
    }
    archive
        .extract(&dir, &|_| true, &mut |_| ())
        .with_context(|| format!("cannot extract to `{}`", dir.display()))?;
    if !quiet {
        say!("extracted to {}", dir.display());
        say!("to install from there: {}/install.sh", dir.display());
    }
    Ok(Code::Ok)
}

/// `dir`, or the folder that is meant when none is named.
pub fn keep_in(dir: PathBuf, manifest: &Manifest) -> PathBuf {
    if dir.as_os_str().is_empty() { format!("{}-{}", manifest.product, manifest.version).into() } else { dir }
}
