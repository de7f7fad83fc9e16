//! What can be wrong with an archive. Each variant names the file, and says whether the file or the machine is at fault.

use std::path::{Path, PathBuf};

use crate::Fingerprint;

/// Why an archive could not be read, written or extracted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not those that were written.
    #[error("`{path}` is damaged: {what}; copy it again from where it was published")]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// Which part, and what was expected.
        what: String,
    },
    /// The bytes are whole, but break a rule of the format: an entry that would leave the folder, two of one name.
    #[error("`{path}` is refused: {what}; it was not made by this toolchain")]
    Unsafe {
        /// The archive.
        path: PathBuf,
        /// Which rule, and by which entry.
        what: String,
    },
    /// The signature in the file is not one over its bytes.
    #[error(
        "`{path}` is badly signed: its signature is not one by the key {fingerprint} over these bytes; copy it again from where it was published"
    )]
    Signature {
        /// The archive.
        path: PathBuf,
        /// The key that the signature claims to be by.
        fingerprint: Fingerprint,
    },
    /// Written by another generation of the toolchain.
    #[error(
        "`{path}` has archive format {found}, this program reads {known}; use the `cairnctl` inside that file"
    )]
    Format {
        /// The archive.
        path: PathBuf,
        /// The format in the file.
        found: u32,
        /// The format that this program knows.
        known: u32,
    },
    /// A delta and a file that do not belong together.
    #[error("the delta `{path}` cannot be applied: {what}")]
    NotApplicable {
        /// The delta.
        path: PathBuf,
        /// What it starts from, what was given instead, and what to do.
        what: String,
    },
    /// No such entry.
    #[error("`{path}` has no entry `{entry}`{}", did_you_mean(.nearest))]
    NoEntry {
        /// The archive.
        path: PathBuf,
        /// What was asked for.
        entry: String,
        /// The entry with the most similar name.
        nearest: Option<String>,
    },
    /// An input of the builder that cannot be packed.
    #[error("cannot pack `{path}`: {what}")]
    Input {
        /// The file or entry.
        path: PathBuf,
        /// Why, and what to do.
        what: String,
    },
    /// A key that does not sign.
    #[error("cannot sign `{path}`")]
    Key {
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: crate::KeyError,
    },
    /// The operating system said no.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the archive itself is at fault, as opposed to the machine or the question.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Unsafe { .. } | Self::Signature { .. } | Self::Format { .. } => true,
            Self::NotApplicable { .. }
            | Self::NoEntry { .. }
            | Self::Input { .. }
            | Self::Key { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Whether the files are whole, and do not belong together.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotApplicable { .. })
    }

    /// Whether the machine had no room left, in bytes, inodes or quota.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

fn did_you_mean(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
