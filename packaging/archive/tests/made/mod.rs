//! A small archive for tests: text, a big entry that shrinks, a big one that does not, two sections.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod forge;

use std::collections::BTreeMap;
use std::path::PathBuf;

use packaging_archive::{
    Build, Component, Compressed, Content, Description, EntryPath, HELPER, Input, Mode, Origin, Toolchain,
    assemble, compress,
};
use tempfile::TempDir;

pub type File = (&'static str, &'static str, Mode, Vec<u8>);

pub struct Made {
    pub folder: TempDirRef,
    pub file: PathBuf,
    pub compressed: Compressed,
}

/// A script with a comment and every word that is replaced.
pub const STUB: &str = "#!/bin/sh\n# first lines stay\n  # a comment goes\necho @PRODUCT@ @VERSION@ @STUB@ @HEAD@ @HELPER@\nexit 0\n";

/// Shared, so that a second archive can be made with the cache of a first.
pub type TempDirRef = std::sync::Arc<TempDir>;

/// What lies in the archive, in no order: path, section, mode, content.
pub fn entries() -> Vec<File> {
    vec![
        ("share/web/index.html", "web", Mode::File, b"<h1>made</h1>\n".to_vec()),
        (HELPER, "core", Mode::Executable, noise(1, 300_000)),
        ("bin/tool", "core", Mode::Executable, b"tool".repeat(2_500_000)),
        ("etc/empty", "core", Mode::File, Vec::new()),
        ("etc/tool.toml", "core", Mode::File, b"key = 1\n".to_vec()),
        ("share/web/picture", "web", Mode::File, noise(2, 5_000_000)),
    ]
}

pub fn make(threads: usize) -> Made {
    make_with(&TempDirRef::new(tempfile::tempdir().unwrap()), threads)
}

pub fn make_with(folder: &TempDirRef, threads: usize) -> Made {
    pack(folder, entries(), threads)
}

/// An archive of a few kilobytes.
pub fn make_tiny() -> Made {
    let mut entries = entries();
    for entry in &mut entries {
        entry.3.truncate(2000);
    }
    pack(&TempDirRef::new(tempfile::tempdir().unwrap()), entries, 1)
}

fn pack(folder: &TempDirRef, entries: Vec<File>, threads: usize) -> Made {
    pack_as(folder, description(), entries, threads, "made.run")
}

/// Packs these entries, and calls the file `name`.
pub fn pack_as(
    folder: &TempDirRef,
    description: Description,
    entries: Vec<File>,
    threads: usize,
    name: &str,
) -> Made {
    let time = 1_700_000_000;
    let inputs = entries
        .into_iter()
        .map(|(path, section, mode, content)| Packed { mode, ..packed(path, section, time, content) })
        .collect();
    pack_inputs(folder, description, inputs, threads, name)
}

/// What is packed, with times.
pub type Packed = Input;

/// A program.
pub fn packed(path: &str, section: &str, mtime: u64, content: Vec<u8>) -> Packed {
    Input {
        path: EntryPath::new(path).unwrap(),
        section: section.into(),
        mode: Mode::Executable,
        mtime,
        content: Content::Bytes(content),
    }
}

/// One more program of the first section.
pub fn packed_into(inputs: &mut Vec<Packed>, path: &str, mtime: u64, content: Vec<u8>) {
    inputs.push(packed(path, "core", mtime, content));
}

/// Packs these inputs, and calls the file `name`.
pub fn pack_inputs(
    folder: &TempDirRef,
    description: Description,
    inputs: Vec<Packed>,
    threads: usize,
    name: &str,
) -> Made {
    let sections = [("core".to_owned(), Vec::new()), ("web".to_owned(), vec!["server".to_owned()])];
    let compressed = compress(inputs, &sections, &folder.path().join("cache"), threads, &|_| ()).unwrap();
    let file = folder.path().join(name);
    assemble(STUB, description, &compressed, None, &file).unwrap();
    Made { folder: folder.clone(), file, compressed }
}

pub fn description() -> Description {
    let component = Component {
        kind: "cargo".into(),
        reference: "1.0".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        dirty: false,
        recipe: Origin::Checkout,
        version: None,
    };
    Description {
        product: "made".into(),
        version: "1.0-qa".into(),
        created: 1_700_000_000,
        toolchain: Toolchain { commit: component.commit.clone(), dirty: false },
        build: Build { target: "x86_64-unknown-linux-gnu".into(), native: true, glibc: Some("2.36".into()) },
        components: BTreeMap::from([("tool".to_owned(), component)]),
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(count)
    .collect()
}
