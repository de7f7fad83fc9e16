//! `verify`, `inspect` and `compare`: what a packed file is, told on the release engineer's machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, PublicKey, Section, hex};

use crate::answer::{self, answer};
use crate::cli::{Compare, Inspect, Verify};
use crate::compare;
use crate::digest;
use crate::failure::Failure;
use crate::key;
use crate::os;
use crate::progress::Format;
use crate::supply;

/// Checks the signature, every byte and every entry, and that what lies beside the file belongs to it.
///
/// # Errors
/// Exit code 2 for a file that is not as it was packed or badly signed, or beside which lies what belongs to another, 8 for one that no key of `--trust` has signed.
pub fn verify(args: &Verify) -> Result<()> {
    let trusted = args.trust.iter().map(|file| key::public(file)).collect::<Result<Vec<_>>>()?;
    let archive = open(&args.file)?;
    let signed = signed(&archive, &trusted)?;
    archive.verify_contents(&mut |_| ())?;
    let manifest = archive.manifest();
    let what = match &manifest.delta {
        None => format!("{} entries", manifest.entries.len()),
        Some(delta) => format!("a delta from {}", delta.base.version),
    };
    answer!("ok: {} {}, {what}, every byte as it was packed", manifest.product, manifest.version)?;
    if let Some(delta) = &manifest.delta {
        let bytes = archive.trailer().file_bytes;
        answer!("{bytes} bytes that make {} of the file with the digest {}", delta.size, delta.base.digest)?;
    }
    answer!("{signed}")?;
    for line in beside(&archive)? {
        answer!("{line}")?;
    }
    Ok(())
}

/// Who has signed the file, as a sentence. Opening it has shown that the signature is one by that key.
fn signed(archive: &Archive, trusted: &[PublicKey]) -> Result<String> {
    let file = archive.path().display();
    let expected: Vec<String> = trusted.iter().map(|key| key.fingerprint().to_string()).collect();
    match archive.signer() {
        Some(signer) if trusted.contains(signer) => {
            Ok(format!("signed by {}, which is trusted", signer.fingerprint()))
        }
        Some(signer) if trusted.is_empty() => Ok(format!(
            "signed by {}, not compared with any key; name one with --trust KEY.pub",
            signer.fingerprint()
        )),
        Some(signer) => Err(Failure::refused(format!(
            "`{file}` is signed by {}, not by {}; get the file or the public key from where it is published",
            signer.fingerprint(),
            expected.join(" or ")
        ))),
        None if trusted.is_empty() => Ok("not signed".to_owned()),
        None => Err(Failure::refused(format!(
            "`{file}` is not signed, and should be by {}; get it from where it was signed",
            expected.join(" or ")
        ))),
    }
}

/// What lies beside the file and belongs to it, a sentence each.
fn beside(archive: &Archive) -> Result<Vec<String>> {
    let found = supply::check(archive, &digest::of_file(archive.path())?)?;
    let name = |extension: &str| archive.path().with_added_extension(extension).display().to_string();
    let mut lines = Vec::new();
    if found.sbom {
        lines.push(format!("{} is the list of parts that lies in the file", name(supply::SBOM_EXTENSION)));
    }
    if found.provenance {
        lines.push(format!(
            "{} speaks of this file; it is not signed itself",
            name(supply::PROVENANCE_EXTENSION)
        ));
    }
    Ok(lines)
}

/// Prints what a file was built from.
///
/// # Errors
/// If it cannot be read.
pub fn inspect(args: &Inspect) -> Result<()> {
    let archive = open(&args.file)?;
    if args.format == Format::Json {
        return Ok(answer::print(std::str::from_utf8(archive.manifest_json())?)?);
    }
    let (bytes, digest) = (archive.trailer().file_bytes, hex(&archive.trailer().digest));
    let mut text = format!("{}{bytes} bytes, digest {digest}\n", archive.manifest());
    match archive.signer() {
        Some(signer) => writeln!(text, "signed by {}", signer.fingerprint())?,
        None => writeln!(text, "not signed")?,
    }
    for os in archive.manifest().sections.iter().filter_map(Section::os) {
        writeln!(text, "{}", os::told(&archive, os)?)?;
    }
    for path in [supply::SBOM, supply::LICENSES] {
        if archive.manifest().entry(path).is_some() {
            writeln!(text, "inside: {path}")?;
        }
    }
    for extension in [supply::SBOM_EXTENSION, supply::PROVENANCE_EXTENSION] {
        let beside = args.file.with_added_extension(extension);
        if beside.exists() {
            writeln!(text, "beside it: {}", beside.display())?;
        }
    }
    Ok(answer::print(&text)?)
}

/// Compares two packed files. A signature is no difference: it is about the bytes that are compared.
///
/// # Errors
/// Exit code 2 for a damaged file, 7 with what differs.
pub fn compare(args: &Compare) -> Result<()> {
    let (first, second) = (open(&packed(&args.first)?)?, open(&packed(&args.second)?)?);
    let found = compare::differences(&first, &second)?;
    let (one, two) = (first.path().display(), second.path().display());
    if !found.is_empty() {
        bail!("`{one}` and `{two}` differ:\n{}", compare::listed(&found));
    }
    answer!("the same: {one} and {two}, sha256 {} but for signatures", hex(&first.trailer().digest))?;
    Ok(())
}

/// The packed file itself, or the only one in a folder.
fn packed(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let is_packed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
    let files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_packed).collect();
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(file),
        Err(files) => {
            Err(Failure::usage(format!("`{}` holds {} packed files; name one", path.display(), files.len())))
        }
    }
}

/// Opens a file that is there.
pub fn open(file: &Path) -> Result<Archive> {
    if !file.exists() {
        return Err(Failure::usage(format!(
            "there is no file `{}`; name one that cargo xtask all-in-one has made",
            file.display()
        )));
    }
    Ok(Archive::open(file)?)
}
