//! Why a host cannot be set up. Each sentence names the files and what to do with them.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a host cannot be set up.
#[derive(Debug, Error)]
pub enum BootstrapError {
    /// One file of a pair is there.
    #[error(
        "`{there}` is there and `{missing}` is not; put `{missing}` back from a backup, or move `{there}` away to have both made anew"
    )]
    HalfMade {
        /// The file that is there.
        there: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// Certificates are there, and what signed them is not.
    #[error(
        "`{leaf}` is there and its authority, `{authority}` with its key, is not; put the authority back from a backup, or move all files in that folder away to begin anew"
    )]
    LostAuthority {
        /// A certificate that is there.
        leaf: PathBuf,
        /// The authority.
        authority: PathBuf,
    },
    /// The authority is there and cannot be used.
    #[error("cannot read the authority `{path}`: {cause}; restore it with its key from a backup")]
    Authority {
        /// The authority's certificate, or its key.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The library that makes certificates refuses.
    #[error(
        "cannot make a certificate: {0}; restore `ca.pem` and `ca.key` from a backup if they were damaged"
    )]
    Issue(#[from] rcgen::Error),
}
