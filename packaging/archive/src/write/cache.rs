//! Compressed members kept by what they are made of.
//!
//! A file of the cache starts with a line that holds the SHA-256, the size and the CRC-32 of what follows, and the line's own
//! CRC-32. Looking one up reads that line and the length; that the bytes are still those that were written is seen by the CRC when they are copied into an
//! archive, which reads them anyway. The folder is the builder's own: this is about damage, not about somebody who can
//! write there, and the finished archive is verified as a whole. Files appear by rename, so that builds may share the folder.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use libdeflater::Crc;

use crate::Error;
use crate::trailer::{Digest, hex, sha256_hex};

/// To be raised whenever the compressor, its level, the rule for stored content or the first line changes.
const GENERATION: &str = "3";

/// Bytes in front of the member.
const HEADER_BYTES: usize = 64 + 1 + 10 + 1 + 8 + 1 + 8 + 1;

/// Whoever clears the folder of what is not used goes by days. Noting a use more often would be work for nothing.
const NOTED_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A member in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) file: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// Where the member with this key is, or would be.
pub(crate) fn place(folder: &Path, key: &Digest) -> PathBuf {
    folder.join(format!("{}.{GENERATION}", hex(key)))
}

/// What `file` says of the member in it, if it is there.
pub(crate) fn look_up(file: PathBuf) -> Option<Cached> {
    let mut open = File::open(&file).ok()?;
    let mut header = [0; HEADER_BYTES];
    open.read_exact(&mut header).ok()?;
    let Line { sha256, size, .. } = Line::parse(&header)?;
    let metadata = open.metadata().ok()?;
    if metadata.len() != HEADER_BYTES as u64 + size {
        return None;
    }
    let now = SystemTime::now();
    let noted = metadata
        .modified()
        .is_ok_and(|then| now.duration_since(then).is_ok_and(|passed| passed < NOTED_AGAIN_AFTER));
    if !noted {
        // That it cannot be noted is no reason to fail.
        let _ = open.set_modified(now);
    }
    Some(Cached { file, size, sha256 })
}

/// Puts a member into the cache.
pub(crate) fn store(file: PathBuf, bytes: &[u8]) -> Result<Cached, Error> {
    let sha256 = sha256_hex(bytes);
    let write = || -> std::io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
        let line = Line { sha256: sha256.clone(), size: bytes.len() as u64, crc: crc(bytes) };
        temporary.write_all(line.text().as_bytes())?;
        temporary.write_all(bytes)?;
        temporary.persist(&file).map_err(|error| error.error).map(|_| ())
    };
    write().map_err(Error::io("write", &file))?;
    Ok(Cached { size: bytes.len() as u64, sha256, file })
}

/// Fills `buffer` with the member, or with less where the file is not as it was written.
pub(crate) fn load(cached: &Cached, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let mut header = [0; HEADER_BYTES];
    let mut read = || -> std::io::Result<usize> {
        let mut file = File::open(&cached.file)?;
        file.read_exact(&mut header)?;
        file.take(cached.size + 1).read_to_end(buffer)
    };
    let is_whole = read().is_ok_and(|count| count as u64 == cached.size)
        && Line::parse(&header).is_some_and(|line| line.sha256 == cached.sha256 && line.crc == crc(buffer));
    if !is_whole {
        // Nobody else is to take it for the member either.
        let _ = fs::remove_file(&cached.file);
    }
    is_whole
}

/// What stands in front of a member.
struct Line {
    sha256: String,
    size: u64,
    crc: u32,
}

impl Line {
    fn text(&self) -> String {
        let line = format!("{} {:010} {:08x}", self.sha256, self.size, self.crc);
        format!("{line} {:08x}\n", crc(line.as_bytes()))
    }

    fn parse(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let mut words = text.split_ascii_whitespace();
        let line = Self {
            sha256: words.next()?.to_owned(),
            size: words.next()?.parse().ok()?,
            crc: u32::from_str_radix(words.next()?, 16).ok()?,
        };
        (line.text() == text).then_some(line)
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = place(folder.path(), &[7; 32]);
        assert!(look_up(file.clone()).is_none());
        let stored = store(file.clone(), b"member").unwrap();
        let found = look_up(file.clone()).unwrap();
        assert_eq!((found.size, &found.sha256), (6, &stored.sha256));
        let mut buffer = Vec::new();
        assert!(load(&found, &mut buffer));
        assert_eq!(buffer, b"member");

        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&file, damaged).unwrap();
            assert!(look_up(file.clone()).is_none() || at >= HEADER_BYTES, "byte {at}");
            assert!(!load(&found, &mut buffer), "byte {at}");
            assert!(!file.exists(), "it is out of the way");
            fs::write(&file, &whole[..at]).unwrap();
            assert!(look_up(file.clone()).is_none(), "cut at {at}");
            assert!(!load(&found, &mut buffer), "cut at {at}");
        }
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let file = place(folder.path(), &[7; 32]);
        store(file.clone(), b"member").unwrap();
        let time = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
        let fresh = time(&file);
        look_up(file.clone()).unwrap();
        assert_eq!(time(&file), fresh);
        let old = SystemTime::now() - 2 * NOTED_AGAIN_AFTER;
        File::open(&file).unwrap().set_modified(old).unwrap();
        look_up(file.clone()).unwrap();
        assert!(time(&file) >= fresh);
    }
}
