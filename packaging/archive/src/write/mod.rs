//! Writing: entries become members, members become one file.
//!
//! Two steps, because the table of contents stands in front of what it describes: [`compress`] puts every member into a
//! cache by what it is made of, [`assemble`] writes stub, manifest, members and trailer. The same input gives the same
//! bytes, whatever the number of threads and whatever the cache holds. Nothing here has more in memory than a few chunks for
//! each thread, whatever is packed.

mod assemble;
mod cache;
mod compress;
mod deflate;
mod delta;
mod index;
mod key;
mod layout;
mod produce;
mod sign;

use std::path::PathBuf;

pub use assemble::assemble;
pub use compress::compress;
pub use delta::make_delta;
pub use key::PrivateKey;
pub use sign::sign;

use crate::manifest::{Build, Component, Entry, Member, Mode, Section, Toolchain};
use crate::path::EntryPath;

/// One file to pack.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it goes.
    pub path: EntryPath,
    /// The section that it belongs to.
    pub section: String,
    /// Its permissions.
    pub mode: Mode,
    /// Its time, seconds since 1970. Another time is other bytes of the member that it lies in.
    pub mtime: u64,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of an [`Input`] are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In a file, which is read while compressing.
    File(PathBuf),
    /// Here.
    Bytes(Vec<u8>),
}

/// Everything that the manifest says and that the files do not.
#[derive(Clone, Debug)]
pub struct Description {
    /// See [`crate::Manifest::product`].
    pub product: String,
    /// See [`crate::Manifest::version`].
    pub version: String,
    /// See [`crate::Manifest::created`].
    pub created: u64,
    /// See [`crate::Manifest::toolchain`].
    pub toolchain: Toolchain,
    /// See [`crate::Manifest::build`].
    pub build: Build,
    /// See [`crate::Manifest::components`].
    pub components: std::collections::BTreeMap<String, Component>,
}

/// What [`compress`] made: the tables of the manifest, and the members' bytes in the cache.
#[derive(Clone, Debug)]
pub struct Compressed {
    pub(crate) sections: Vec<Section>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) members: Vec<Member>,
    pub(crate) packed: Vec<compress::Packed>,
    pub(crate) sources: produce::Sources,
    /// How many members were taken from the cache.
    pub reused: usize,
}

impl Compressed {
    /// How many members there are.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }
}
