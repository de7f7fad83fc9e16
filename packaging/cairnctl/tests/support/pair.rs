//! Two files of a product, and the delta from one to the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use packaging_archive::{
    Archive, Build, Content, Description, EntryPath, HELPER, Input, Mode, Toolchain, assemble, compress,
    make_delta,
};

/// The head of a packed file.
const STUB: &str = include_str!("../../../stub.sh");

/// The files, in one folder.
pub struct Pair {
    /// Version 1.0.
    pub old: PathBuf,
    /// Version 1.1.
    pub new: PathBuf,
    /// What leads from one to the other.
    pub delta: PathBuf,
}

impl Pair {
    /// Makes them. They hold `helper`, a big file that stays, a big one that changes at its end, and a unit.
    pub fn make(folder: &Path, product: &str, helper: &[u8]) -> Self {
        let at = |name: &str| folder.join(name);
        let (old, new, delta) = (at("old.run"), at("new.run"), at("delta.run"));
        pack(&old, product, "1.0", helper);
        pack(&new, product, "1.1", helper);
        let open = |file: &Path| Archive::open(file).unwrap();
        make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
        Self { old, new, delta }
    }
}

fn pack(file: &Path, product: &str, version: &str, helper: &[u8]) {
    let mut changing = noise(3, 6_000_000);
    changing.extend(version.as_bytes());
    let unit = b"[Service]\nExecStart=/bin/true\n".to_vec();
    let entries = [
        (HELPER, Mode::Executable, helper.to_vec()),
        ("share/staying", Mode::File, noise(2, 1_000_000)),
        ("share/changing", Mode::File, changing),
        ("systemd/payload.service", Mode::File, unit),
    ];
    pack_entries(file, product, version, entries.into());
}

/// Where packages of an operating system lie, for agents.
const PACKAGES: (&str, &str) = ("share/os/debian-12/", "os-debian-12");

/// A packed file with these entries.
pub fn pack_entries(file: &Path, product: &str, version: &str, entries: Vec<(&str, Mode, Vec<u8>)>) {
    pack_made(file, product, version, 1, entries);
}

/// The same, as made at a time, in seconds since 1970.
pub fn pack_made(
    file: &Path,
    product: &str,
    version: &str,
    created: u64,
    entries: Vec<(&str, Mode, Vec<u8>)>,
) {
    let mut sections = vec![("core".to_owned(), Vec::new())];
    if entries.iter().any(|(path, ..)| path.starts_with(PACKAGES.0)) {
        sections.push((PACKAGES.1.to_owned(), vec!["agent".to_owned()]));
    }
    let input = |(path, mode, content): (&str, Mode, Vec<u8>)| Input {
        path: EntryPath::new(path).unwrap(),
        section: if path.starts_with(PACKAGES.0) { PACKAGES.1 } else { "core" }.into(),
        mode,
        mtime: 1,
        content: Content::Bytes(content),
    };
    let inputs = entries.into_iter().map(input).collect();
    let members = tempfile::tempdir().unwrap();
    let packed = compress(inputs, &sections, members.path(), 1, &|_| ()).unwrap();
    let description = Description {
        product: product.into(),
        version: version.into(),
        created,
        toolchain: Toolchain { commit: "0".repeat(40), dirty: false },
        build: Build { target: "x86_64-unknown-linux-gnu".into(), native: true, glibc: None },
        components: BTreeMap::new(),
    };
    assemble(STUB, description, &packed, None, file).unwrap();
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
