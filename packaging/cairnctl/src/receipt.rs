//! What was installed: the record by which it is verified and removed. Written before anything that it lists is made, so
//! that an interrupted installation can be removed too. As long as a removal has left data it stays, marked as removed: it
//! knows which folders have to go with them. Paths are those of the host, whatever root they lie below.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Exit};
use crate::layout::Layout;
use crate::packages::Added;
use crate::role::Role;

/// The generation of the record.
const FORMAT: u32 = 1;

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// See [`FORMAT`].
    pub format: u32,
    /// The product's name.
    pub product: String,
    /// The product's version.
    pub version: String,
    /// What this host is.
    pub role: Role,
    /// Whether all but data has been removed again.
    #[serde(default)]
    pub removed: bool,
    /// Folders that were not there before, outermost first. Removed again if nothing is left in them.
    pub folders: Vec<PathBuf>,
    /// Default configuration, in order: where it lies, and the SHA-256 that it had.
    pub configuration: Vec<Written>,
    /// systemd units: where they lie, and the SHA-256 that they had.
    pub units: Vec<Written>,
    /// The archive that it was installed from, where it is kept: a delta to a newer version starts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<PathBuf>,
    /// What was there before, and can be gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Keys that an operator said to trust: where they lie. They are the operator's, and stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<PathBuf>,
    /// Packages of the operating system that came with this product.
    #[serde(default, skip_serializing_if = "Added::is_empty")]
    pub packages: Added,
}

/// A version that was there before. Its programs lie where they lay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The version.
    pub version: String,
    /// The archive that it was installed from, where it is kept.
    pub archive: Option<PathBuf>,
    /// The server's data as that version left it.
    pub backup: Option<PathBuf>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Where, on the host.
    pub path: PathBuf,
    /// SHA-256 of what was written, as hexadecimal digits.
    pub sha256: String,
}

impl Receipt {
    /// A record in this program's format.
    pub fn new(product: &str, version: &str, role: Role) -> Self {
        let (product, version) = (product.to_owned(), version.to_owned());
        Self {
            format: FORMAT,
            product,
            version,
            role,
            removed: false,
            folders: Vec::new(),
            configuration: Vec::new(),
            units: Vec::new(),
            archive: None,
            previous: None,
            trusted: Vec::new(),
            packages: Added::default(),
        }
    }

    /// The record of the host, if something is installed there.
    ///
    /// # Errors
    /// If there is one that this program cannot read.
    pub fn installed(layout: &Layout) -> Result<Option<Self>> {
        Ok(Self::read(layout)?.filter(|receipt| !receipt.removed))
    }

    /// The record of the host, if there is one, also one that was left with data.
    ///
    /// # Errors
    /// If there is one that this program cannot read.
    pub fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.receipt();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let damaged = |what: String| {
            Exit::error(
                Code::Damaged,
                format!("the receipt `{}` {what}; restore it from a backup", path.display()),
            )
        };
        let receipt: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("cannot be read ({error})")))?;
        if receipt.format != FORMAT {
            return Err(damaged(format!("has format {}, not {FORMAT}", receipt.format)));
        }
        Ok(Some(receipt))
    }

    /// The bytes of the file.
    pub fn json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// A file where one of the folders should be means that there is no record either; preflight says what to do about it.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// A path of the host, without the root that it lies below now.
pub fn on_host(layout: &Layout, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(layout.root()).unwrap_or(path))
}

/// The reverse: where a path of the host lies below the root.
pub fn below_root(layout: &Layout, path: &Path) -> PathBuf {
    layout.root().join(path.strip_prefix("/").unwrap_or(path))
}
