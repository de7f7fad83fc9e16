//! The name of an entry, parsed once: a relative path that stays where it is put.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path of an entry below the folder that an archive is extracted to.
///
/// Parts are joined by `/`, none is empty, `.` or `..`, the first does not start the path at the root, and no byte is a
/// control character or a backslash. At most 200 bytes, which any tar header holds without an extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryPath(String);

impl EntryPath {
    /// Longest path, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// Checks `path`.
    ///
    /// # Errors
    /// A sentence that says which rule the path breaks.
    pub fn new(path: impl Into<String>) -> Result<Self, String> {
        let path = path.into();
        if path.len() > Self::MAX_BYTES {
            return Err(format!("the path `{path}` is longer than {} bytes", Self::MAX_BYTES));
        }
        if path.bytes().any(|byte| byte < 0x20 || byte == 0x7f || byte == b'\\') {
            return Err(format!(
                "the path `{}` holds a control character or a backslash",
                path.escape_default()
            ));
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("the path `{path}` is absolute, or holds an empty part, `.` or `..`"));
        }
        // A header of the oldest tar that is still read splits a long path at a `/` into 155 and 100 bytes.
        if tar::Header::new_ustar().set_path(&path).is_err() {
            return Err(format!("the path `{path}` does not fit in a tar header; shorten its last part"));
        }
        Ok(Self(path))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the entry lies when `root` is the folder that it is extracted to.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(&self.0)
    }
}

impl TryFrom<String> for EntryPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        Self::new(path)
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_taken() {
        for path in ["a", "bin/cairn-server", "share/x y/ü.js", ".hidden/..data"] {
            assert_eq!(EntryPath::new(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn paths_that_could_leave_the_folder_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", "a\0b"] {
            assert!(EntryPath::new(path).is_err(), "{path:?}");
        }
        assert!(EntryPath::new("x".repeat(150)).is_err(), "a part of more than 100 bytes");
        assert!(EntryPath::new("x/".repeat(110) + "y").is_err(), "more than 200 bytes");
    }
}
