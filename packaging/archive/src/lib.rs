//! The self-extracting archive: one file that is a shell script, a gzip file and a tar file at once.
//!
//! ```text
//! stub       POSIX sh, padded to whole blocks of 4096 bytes
//! member 0   gzip of a tar entry `manifest.json`: what is inside, and where
//! member 1   gzip of a tar entry with the helper, so that the stub finds it without a table
//! member 2.. gzip of tar entries, section by section: small entries together, big ones in chunks
//! member n   gzip of the two zero blocks that end a tar file
//! trailer    an empty gzip member whose extra field holds sizes, the SHA-256 of all bytes before it, and a signature
//! ```
//!
//! Behind the stub everything is one multi-member gzip stream and one tar stream, so that `tail`, `gunzip` and `tar`
//! of any system read it. The trailer covers the stub too: a shell script cannot vouch for itself.
//!
//! A delta is such a file, too: its one entry besides the helper holds the bytes that make a new archive of an old one.
//!
//! This crate knows bytes and paths. It knows nothing about hosts, installations, git or cargo. It is written by the
//! toolchain (feature `write`) and read by the control tool, and readers trust no number that they have not checked.

mod delta;
mod entries;
mod error;
mod extract;
mod header;
mod manifest;
mod path;
mod read;
mod signature;
mod trailer;
#[cfg(feature = "write")]
mod write;

pub use delta::{Base, DATA, DELTA_FORMAT, Delta, Piece, apply, fits};
pub use error::Error;
pub use manifest::{
    Build, Component, Entry, FORMAT, HELPER, MANIFEST, Manifest, Member, Mode, Needs, OS_SECTION, Origin,
    Section, Toolchain,
};
pub use path::EntryPath;
pub use read::Archive;
pub use signature::{Fingerprint, KeyError, PublicKey, Signature};
pub use trailer::{Digest, TRAILER_BYTES, Trailer, hex};
#[cfg(feature = "write")]
pub use write::{Compressed, Content, Description, Input, PrivateKey, assemble, compress, make_delta, sign};

/// The stub is padded to a multiple of this many bytes, so that `dd bs=4096` and `tail -c` both cut it off exactly.
pub const BLOCK_BYTES: u64 = 4096;
