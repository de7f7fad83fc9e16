//! SHA-256 of files and texts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use packaging_archive::{Digest, hex};
use sha2::{Digest as _, Sha256};

/// The digest of a file.
///
/// # Errors
/// If it cannot be read.
pub fn of_file(path: &Path) -> Result<Digest> {
    let read = || -> std::io::Result<Digest> {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => break Ok(hash.finalize().into()),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    read().with_context(|| format!("cannot read `{}`", path.display()))
}

/// The digest of a file, in hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn hex_of_file(path: &Path) -> Result<String> {
    of_file(path).map(|digest| hex(&digest))
}

/// The digest of bytes, in hexadecimal digits.
pub fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}
