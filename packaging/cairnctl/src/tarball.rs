//! A gzipped tar file that is its owner's alone, and there when it is whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::host;

/// One that is being written, under another name until it is whole.
pub struct Tarball {
    builder: Option<Builder<GzEncoder<File>>>,
    place: PathBuf,
    beside: PathBuf,
    /// Of all that is added: seconds since 1970.
    mtime: u64,
}

impl Tarball {
    /// Begins the file that is to be at `place`.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn begin(place: &Path, mtime: u64) -> Result<Self> {
        let beside = host::beside(place);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = file.with_context(|| format!("cannot write `{}`", place.display()))?;
        let builder = Some(Builder::new(GzEncoder::new(file, Compression::default())));
        Ok(Self { builder, place: place.to_owned(), beside, mtime })
    }

    /// Adds a file with this content.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.append(name, content.len() as u64, content)
    }

    /// Adds a copy of a file.
    pub fn add_file(&mut self, name: &str, from: &Path) -> Result<()> {
        let file = File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?;
        let size = file.metadata()?.len();
        // What grows meanwhile is cut: the head has said how long it is.
        self.append(name, size, std::io::Read::take(file, size))
    }

    fn append(&mut self, name: &str, size: u64, content: impl std::io::Read) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.mtime);
        header.set_size(size);
        let Some(builder) = &mut self.builder else { return Ok(()) };
        builder
            .append_data(&mut header, name, content)
            .with_context(|| format!("cannot write `{}`", self.place.display()))
    }

    /// Gives it its name, when all of it is on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn publish(mut self) -> Result<()> {
        let Some(builder) = self.builder.take() else { return Ok(()) };
        let finish = || -> std::io::Result<()> {
            let mut file = builder.into_inner()?.finish()?;
            file.flush()?;
            file.sync_all()?;
            fs::rename(&self.beside, &self.place)?;
            host::sync_folder_of(&self.place)
        };
        finish().with_context(|| format!("cannot write `{}`", self.place.display()))
    }
}

impl Drop for Tarball {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
}
