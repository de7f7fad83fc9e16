//! What is measured of ours and is no program of its own: packing and making a delta, as `all-in-one` and `delta` do it, in a
//! process that does nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{
    Archive, Build, Component, Content, Description, EntryPath, Input, Manifest, Mode, Toolchain, assemble,
    compress, make_delta,
};
use serde::{Deserialize, Serialize};

use crate::all_in_one::tree;
use crate::answer::answer;
use crate::cli::{BenchDelta, BenchPack};

/// What is packed, as one process tells another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    product: String,
    version: String,
    created: u64,
    toolchain: Toolchain,
    build: Build,
    components: BTreeMap<String, Component>,
    sections: Vec<(String, Vec<String>)>,
    /// The files, in any order.
    pub files: Vec<Packed>,
}

/// A file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packed {
    /// Its name in the archive.
    pub path: EntryPath,
    /// The section that it belongs to.
    pub section: String,
    /// Its permissions.
    pub mode: Mode,
    /// Its time in the archive, seconds since 1970.
    pub mtime: u64,
    /// Where its bytes are.
    pub from: PathBuf,
}

impl Spec {
    /// These files, described as `manifest` describes its own.
    pub fn of(manifest: &Manifest, sections: Vec<(String, Vec<String>)>, files: Vec<Packed>) -> Self {
        Self {
            product: manifest.product.clone(),
            version: manifest.version.clone(),
            created: manifest.created,
            toolchain: manifest.toolchain.clone(),
            build: manifest.build.clone(),
            components: manifest.components.clone(),
            sections,
            files,
        }
    }

    /// Writes it down for [`pack`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, serde_json::to_vec(self)?)?)
    }
}

/// Compresses and assembles, and prints how many members there are and how many of them the cache held.
///
/// # Errors
/// Those of `packaging-archive`.
pub fn pack(args: &BenchPack) -> Result<()> {
    let spec: Spec = serde_json::from_slice(&std::fs::read(&args.spec)?)?;
    let inputs = spec.files.into_iter().map(|file| Input {
        path: file.path,
        section: file.section,
        mode: file.mode,
        mtime: file.mtime,
        content: Content::File(file.from),
    });
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let compressed = compress(inputs.collect(), &spec.sections, &args.cache, jobs, &|_| ())?;
    let description = Description {
        product: spec.product,
        version: spec.version,
        created: spec.created,
        toolchain: spec.toolchain,
        build: spec.build,
        components: spec.components,
    };
    assemble(&stub()?, description, &compressed, None, &args.out)?;
    answer!("{} members, {} of them from the cache", compressed.members(), compressed.reused)?;
    Ok(())
}

/// Makes a delta.
///
/// # Errors
/// Those of `packaging-archive`.
pub fn delta(args: &BenchDelta) -> Result<()> {
    make_delta(&Archive::open(&args.old)?, &Archive::open(&args.new)?, &stub()?, None, &args.out)?;
    Ok(())
}

fn stub() -> Result<String> {
    let file = tree().join("packaging/stub.sh");
    std::fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))
}
