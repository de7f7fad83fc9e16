//! Compressed members kept by the SHA-256 of their uncompressed bytes.
//!
//! A file of the cache starts with the SHA-256 of what follows, so that a cut or altered one is noticed and made
//! again. Files appear by rename, so that builds may share the folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Error;
use crate::trailer::{hex, sha256_hex};

/// To be raised whenever the compressor, its level or the rule for stored content changes.
const GENERATION: &str = "1";

/// Bytes in front of the member: 64 hexadecimal digits and a line feed.
pub(crate) const HEADER_BYTES: u64 = 65;

/// A member in the cache.
pub(crate) struct Cached {
    pub(crate) file: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) reused: bool,
}

/// The member whose uncompressed bytes are `raw` with SHA-256 `raw_digest`, made by `make` if the folder lacks it.
pub(crate) fn member(
    folder: &Path,
    raw_digest: &[u8],
    make: impl FnOnce() -> Vec<u8>,
) -> Result<Cached, Error> {
    let file = folder.join(format!("{}.{GENERATION}", hex(raw_digest)));
    if let Some((size, sha256)) = intact(&file) {
        // Whoever clears the folder of what is not used sees it by the time. That it cannot be noted is no reason to fail.
        let _ = fs::File::open(&file).and_then(|file| file.set_modified(SystemTime::now()));
        return Ok(Cached { file, size, sha256, reused: true });
    }
    let bytes = make();
    let sha256 = sha256_hex(&bytes);
    let write = || -> std::io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(temporary, "{sha256}")?;
        temporary.write_all(&bytes)?;
        temporary.persist(&file).map_err(|error| error.error).map(|_| ())
    };
    write().map_err(Error::io("write", &file))?;
    Ok(Cached { file, size: bytes.len() as u64, sha256, reused: false })
}

fn intact(file: &Path) -> Option<(u64, String)> {
    let bytes = fs::read(file).ok()?;
    let (header, member) = bytes.split_at_checked(HEADER_BYTES as usize)?;
    let sha256 = std::str::from_utf8(header).ok()?.trim_end();
    (sha256_hex(member) == sha256).then(|| (member.len() as u64, sha256.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_look_reuses_and_a_damaged_file_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = member(folder.path(), b"key", || b"member".to_vec()).unwrap();
        assert!(!first.reused);
        let second = member(folder.path(), b"key", || unreachable!()).unwrap();
        assert!(second.reused);
        assert_eq!((second.size, &second.sha256), (6, &first.sha256));

        fs::write(&first.file, &fs::read(&first.file).unwrap()[..68]).unwrap();
        assert!(!member(folder.path(), b"key", || b"member".to_vec()).unwrap().reused);
    }
}
