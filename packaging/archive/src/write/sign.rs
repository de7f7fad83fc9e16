//! A signature for an archive that is there already: only the trailer differs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::assemble::Hashed;
use super::key::PrivateKey;
use crate::trailer::{Digest, TRAILER_BYTES, Trailer};
use crate::{Archive, Error};

/// Writes `archive`, signed, to `out`, which may be the archive's own place: it appears by rename. An earlier signature is
/// replaced. Returns the trailer and the SHA-256 of the whole new file.
///
/// # Errors
/// Those of [`Archive::verify_contents`]: what is damaged is not signed; [`Error::Io`] or [`Error::Key`]. `out` is then as it
/// was.
pub fn sign(archive: &Archive, key: &PrivateKey, out: &Path) -> Result<(Trailer, Digest), Error> {
    archive.verify_contents(&mut |_| ())?;
    let (path, old) = (archive.path(), archive.trailer());
    let trailer = old.clone().signed(key).map_err(|source| Error::Key { path: path.to_owned(), source })?;
    let write = || -> io::Result<Digest> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::NamedTempFile::new_in(folder)?;
        let mut sink = Hashed { inner: BufWriter::with_capacity(1 << 20, temporary), hash: Sha256::new() };
        io::copy(&mut File::open(path)?.take(old.file_bytes - TRAILER_BYTES as u64), &mut sink)?;
        // What is written is what is signed, whatever happened to the file meanwhile.
        if Digest::from(sink.hash.clone().finalize()) != trailer.digest {
            return Err(io::Error::other("it changed while it was read; try again"));
        }
        sink.write_all(&trailer.bytes())?;
        let digest = sink.hash.finalize().into();
        let temporary = sink.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
        temporary.as_file().sync_all()?;
        temporary.persist(out).map_err(|error| error.error)?;
        Ok(digest)
    };
    let digest = write().map_err(Error::io("write", out))?;
    Ok((trailer, digest))
}
