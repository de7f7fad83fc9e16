//! The one spelling of a tar header in an archive: a regular file, owned by root, with one of the two modes.
//!
//! Readers write the header of an entry anew and compare bytes. So there is no way to spell a link, a device, another
//! owner, a set-uid bit or a second name, and no program that reads the tar stream finds anything else than this one.

use std::io;

use crate::manifest::{Entry, Mode};

/// Bytes of a header, and what content is padded to.
pub(crate) const HEADER_BYTES: u64 = 512;

/// Uncompressed bytes of the last member: the two zero blocks that end a tar file.
pub(crate) const END_BYTES: u64 = 2 * HEADER_BYTES;

/// The header of the entry called `path`. `mtime` are seconds since 1970.
///
/// # Errors
/// If the path does not fit.
pub(crate) fn header(path: &str, size: u64, mode: Mode, mtime: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode.bits());
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

/// Whether `found` is the header of `entry`. Its time is its own.
///
/// # Errors
/// What it is instead, as a clause.
pub(crate) fn check(found: &tar::Header, entry: &Entry) -> Result<(), String> {
    if found.entry_type() != tar::EntryType::Regular {
        return Err("what lies there is not a regular file".into());
    }
    if found.path_bytes().as_ref() != entry.path.as_str().as_bytes() {
        return Err(format!(
            "`{}` lies there",
            String::from_utf8_lossy(&found.path_bytes()).escape_default()
        ));
    }
    let (size, mode) = (found.size().ok(), found.mode().ok());
    if size != Some(entry.size) || mode != Some(entry.mode.bits()) {
        return Err(format!("with size {size:?} and mode {mode:?} instead"));
    }
    if !is_spelt(found, entry.path.as_str(), entry.size, entry.mode) {
        return Err("its tar header is not spelt as one".into());
    }
    Ok(())
}

/// Whether the header says this, in our spelling.
pub(crate) fn is_spelt(found: &tar::Header, path: &str, size: u64, mode: Mode) -> bool {
    let own = found.mtime().and_then(|mtime| header(path, size, mode, mtime));
    own.is_ok_and(|own| own.as_bytes() == found.as_bytes())
}

/// Bytes that an entry of `size` bytes takes in the tar stream, or `None` if no number holds them.
pub(crate) fn tar_bytes(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(HEADER_BYTES)?.checked_add(HEADER_BYTES)
}
