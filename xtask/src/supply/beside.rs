//! The list of parts and the statement that lie beside a packed file: found, and compared with it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Digest, hex};
use serde::Deserialize;

use super::{PROVENANCE_EXTENSION, SBOM, SBOM_EXTENSION};
use crate::digest::hex_of;
use crate::failure::Failure;

/// What lies beside a packed file besides its digest and its signature.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The list of parts.
    pub sbom: Option<Vec<u8>>,
    /// The statement of how it was made.
    pub provenance: Option<Vec<u8>>,
}

/// Which of the two were there, and belong to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The list of parts.
    pub sbom: bool,
    /// The statement.
    pub provenance: bool,
}

/// The part of a statement that says which file it speaks of, and which list of parts.
#[derive(Deserialize)]
struct Statement {
    subject: Vec<Subject>,
    predicate: Option<Predicate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    run_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    byproducts: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

impl Subject {
    fn is(&self, digest: &str) -> bool {
        self.digest.get("sha256").is_some_and(|sha256| sha256 == digest)
    }
}

/// The list of parts in a packed file; older ones have none.
///
/// # Errors
/// If the file cannot be read.
pub fn sbom_in(archive: &Archive) -> Result<Option<Vec<u8>>> {
    if archive.manifest().entry(SBOM).is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    archive.read_entry(SBOM, &mut bytes)?;
    Ok(Some(bytes))
}

/// The statement beside `file`, for the same file once its SHA-256 has become `after`.
///
/// # Errors
/// If there is one, and it speaks of another file than that with the SHA-256 `before`.
pub fn provenance_of(file: &Path, before: &Digest, after: &Digest) -> Result<Option<Vec<u8>>> {
    let Some(text) = read(file, PROVENANCE_EXTENSION)? else { return Ok(None) };
    belongs(file, &text, before, None)?;
    // Nothing but the digest changes, so that it is what it would have been had the file been made so.
    Ok(Some(text.replace(&hex(before), &hex(after)).into_bytes()))
}

/// Compares what lies beside a packed file with SHA-256 `digest` with it.
///
/// # Errors
/// Exit code 2 if something does not belong to the file.
pub fn check(archive: &Archive, digest: &Digest) -> Result<Found> {
    let file = archive.path();
    let inside = sbom_in(archive)?;
    let sbom = read(file, SBOM_EXTENSION)?;
    if let Some(beside) = &sbom
        && inside.as_deref() != Some(beside.as_bytes())
    {
        return Err(another(file, SBOM_EXTENSION, "is not the list of parts that lies in the file"));
    }
    let provenance = read(file, PROVENANCE_EXTENSION)?;
    if let Some(text) = &provenance {
        let list = inside.map(|bytes| hex_of(&bytes));
        belongs(file, text, digest, list.as_deref())?;
    }
    Ok(Found { sbom: sbom.is_some(), provenance: provenance.is_some() })
}

fn belongs(file: &Path, text: &str, digest: &Digest, list: Option<&str>) -> Result<()> {
    let refused = |what: &str| another(file, PROVENANCE_EXTENSION, what);
    let statement: Statement =
        serde_json::from_str(text).map_err(|_| refused("is no statement of how a file was made"))?;
    if !statement.subject.iter().any(|subject| subject.is(&hex(digest))) {
        return Err(refused("speaks of another file"));
    }
    let byproducts = statement.predicate.and_then(|predicate| predicate.run_details);
    let byproducts = byproducts.map(|details| details.byproducts).unwrap_or_default();
    match list {
        Some(list) if !byproducts.is_empty() && !byproducts.iter().any(|by| by.is(list)) => {
            Err(refused("speaks of another list of parts"))
        }
        _ => Ok(()),
    }
}

fn another(file: &Path, extension: &str, what: &str) -> anyhow::Error {
    let beside = file.with_added_extension(extension);
    Failure::damaged(format!(
        "`{}` {what}; get both from where the file is published, or remove it",
        beside.display()
    ))
}

fn read(file: &Path, extension: &str) -> Result<Option<String>> {
    let path = file.with_added_extension(extension);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}
