//! What files hold, by who they are: device, inode, size and times. A file that is still the one that was read is not read
//! again, as git does it.
//!
//! The time that an inode changed cannot be set, so that a file with the same numbers has the same bytes, but for one case:
//! it was written again within the same tick of the clock. So what was changed within the last seconds before it was read is
//! not remembered, and is read again the next time.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::trailer::sha256_hex;

const NAME: &str = "index.1";

/// A file is remembered if it has been as it is for so long. File systems count time in ticks of up to two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// Other builds share the index. Beyond this many files, what this one does not use is forgotten.
const ROOM: usize = 20_000;

/// Who a file is.
pub(super) type Identity = String;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// SHA-256 of all of it, 64 hexadecimal digits.
    pub(super) sha256: String,
    /// SHA-256 of each chunk, padded, if it is big enough to have members to itself.
    pub(super) chunks: Vec<String>,
}

/// The files that are known.
#[derive(Debug, Default)]
pub(super) struct Index {
    file: PathBuf,
    old: HashMap<Identity, Known>,
    new: HashMap<Identity, Known>,
    is_changed: bool,
}

impl Index {
    /// Reads the one in `folder`. One that cannot be read knows nothing.
    pub(super) fn open(folder: &Path) -> Self {
        let file = folder.join(NAME);
        let old = fs::read(&file).ok().and_then(|bytes| {
            // The SHA-256 of the rest stands in front: what is remembered wrongly would be packed wrongly.
            let (sha256, json) = bytes.split_at_checked(64)?;
            (sha256_hex(json).as_bytes() == sha256).then_some(())?;
            serde_json::from_slice(json).ok()
        });
        Self { file, old: old.unwrap_or_default(), ..Self::default() }
    }

    /// What the file with this identity holds.
    pub(super) fn find(&mut self, identity: &Identity) -> Option<Known> {
        let known = self.old.get(identity).or_else(|| self.new.get(identity))?.clone();
        self.new.insert(identity.clone(), known.clone());
        Some(known)
    }

    /// Remembers what was read.
    pub(super) fn remember(&mut self, identity: Identity, known: Known) {
        self.is_changed = true;
        self.new.insert(identity, known);
    }

    /// Writes it back, if there is anything new. That it cannot be written costs only time.
    pub(super) fn save(mut self) {
        if !self.is_changed {
            return;
        }
        if self.old.len() + self.new.len() <= ROOM {
            for (identity, known) in self.old {
                self.new.entry(identity).or_insert(known);
            }
        }
        let Some(folder) = self.file.parent() else { return };
        let _ = tempfile::NamedTempFile::new_in(folder).and_then(|temporary| {
            let json = serde_json::to_vec(&self.new)?;
            temporary.as_file().write_all(sha256_hex(&json).as_bytes())?;
            temporary.as_file().write_all(&json)?;
            temporary.persist(&self.file).map_err(|error| error.error)
        });
    }
}

/// Who the file is, and whether it may be remembered by that.
pub(super) fn identity(metadata: &fs::Metadata) -> (Identity, bool) {
    let seconds = metadata.mtime().max(metadata.ctime());
    let settled = u64::try_from(seconds)
        .ok()
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + SETTLED));
    let identity = format!(
        "{:x} {:x} {} {}.{:09} {}.{:09}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    );
    (identity, settled.is_some_and(|settled| settled < SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_found_again_and_a_broken_index_knows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known { sha256: "ab".into(), chunks: vec!["cd".into()] };
        let mut index = Index::open(folder.path());
        assert_eq!(index.find(&"a".into()), None);
        index.remember("a".into(), known.clone());
        index.save();
        assert_eq!(Index::open(folder.path()).find(&"a".into()), Some(known));
        let file = folder.path().join(NAME);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&file, damaged).unwrap();
            assert_eq!(Index::open(folder.path()).find(&"a".into()), None, "byte {at}");
        }
    }

    #[test]
    fn a_file_that_was_just_written_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "content").unwrap();
        // An old time that was set does not help: the inode itself has just changed.
        fs::File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let (before, remembered) = identity(&fs::metadata(&file).unwrap());
        assert!(!remembered);
        fs::write(&file, "CONTENT").unwrap();
        fs::File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_ne!(identity(&fs::metadata(&file).unwrap()).0, before);
        assert!(identity(&fs::metadata("/proc/self/exe").unwrap()).0.contains(' '));
    }
}
