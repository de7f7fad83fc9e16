//! The reader against files that somebody made up: whatever they hold, it does not panic, writes nothing outside the folder
//! that it was given, and what it calls good is what any program that reads tar files finds there.
//!
//! Good archives and a good delta are altered where a number, a name or a byte can be another one, and their digests are made to
//! agree again, so that the checks behind the first one have their turn. `PROPTEST_CASES=1000000` makes it long.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::LazyLock;

use made::forge::{Parts, headed, whole};
use made::{Made, STUB, TempDirRef, description, entries, make_tiny, noise, pack_as};
use packaging_archive::{Archive, Description, Error, Mode, TRAILER_BYTES, Trailer, apply, make_delta};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a number is replaced by.
const NUMBERS: [u64; 12] =
    [0, 1, 511, 512, 513, 4096, u32::MAX as u64, 1 << 33, 1 << 63, u64::MAX - 511, u64::MAX - 1, u64::MAX];

/// What a text is replaced by.
const TEXTS: [&str; 16] = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../escape",
    "bin/../../escape",
    "bin/cairnctl",
    "bin/cairnctl/x",
    "manifest.json",
    "core",
    "web",
    "0644",
    "4755",
    "a\0b",
    "\u{202e}gnp.exe",
];

#[derive(Clone, Debug)]
enum Edit {
    /// A value of the manifest is another one.
    Number(Index, Index),
    Near(Index, i64),
    Text(Index, Index),
    /// One is taken out, or is there twice.
    Removed(Index),
    Doubled(Index),
    Swapped(Index, Index),
    /// A byte of what a member holds.
    Content(Index, Index, u8),
    /// A member is longer or shorter.
    Resized(Index, u16),
    /// A byte of the compressed bytes.
    Compressed(Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), index()).prop_map(|(a, b)| Edit::Number(a, b)),
        3 => (index(), -600i64..600).prop_map(|(a, b)| Edit::Near(a, b)),
        3 => (index(), index()).prop_map(|(a, b)| Edit::Text(a, b)),
        1 => index().prop_map(Edit::Removed),
        1 => index().prop_map(Edit::Doubled),
        1 => (index(), index()).prop_map(|(a, b)| Edit::Swapped(a, b)),
        3 => (index(), index(), any::<u8>()).prop_map(|(a, b, c)| Edit::Content(a, b, c)),
        1 => (index(), 0u16..3000).prop_map(|(a, b)| Edit::Resized(a, b)),
        2 => (index(), any::<u8>()).prop_map(|(a, b)| Edit::Compressed(a, b)),
    ]
}

/// Every value of the manifest that `is` says, by its pointer.
fn places(json: &Value, is: &dyn Fn(&Value) -> bool) -> Vec<String> {
    fn walk(json: &Value, at: &str, is: &dyn Fn(&Value) -> bool, found: &mut Vec<String>) {
        if is(json) {
            found.push(at.to_owned());
        }
        match json {
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{at}/{i}"), is, found));
            }
            Value::Object(values) => {
                values.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"), is, found));
            }
            _ => (),
        }
    }
    let mut found = Vec::new();
    walk(json, "", is, &mut found);
    found
}

fn pick<'a>(json: &'a mut Value, at: Index, is: &dyn Fn(&Value) -> bool) -> Option<&'a mut Value> {
    let found = places(json, is);
    if found.is_empty() { None } else { json.pointer_mut(&found[at.index(found.len())]) }
}

fn alter(good: &Parts, edits: &[Edit]) -> Vec<u8> {
    let mut parts = good.clone();
    for edit in edits {
        match *edit {
            Edit::Content(member, at, byte) => parts.remake(|members| {
                let member = member.index(members.len());
                // Headers are where it matters.
                let length = members[member].len().min(2048);
                if length > 0 {
                    members[member][at.index(length)] = byte;
                }
            }),
            Edit::Resized(member, size) => parts.remake(|members| {
                let member = member.index(members.len());
                members[member].resize(usize::from(size), 0);
            }),
            _ => (),
        }
    }
    let json = &mut parts.manifest;
    for edit in edits {
        match *edit {
            Edit::Number(at, number) => {
                if let Some(place) = pick(json, at, &Value::is_u64) {
                    *place = NUMBERS[number.index(NUMBERS.len())].into();
                }
            }
            Edit::Near(at, by) => {
                if let Some(place) = pick(json, at, &Value::is_u64) {
                    *place = place.as_u64().unwrap().wrapping_add_signed(by).into();
                }
            }
            Edit::Text(at, text) => {
                if let Some(place) = pick(json, at, &Value::is_string) {
                    *place = TEXTS[text.index(TEXTS.len())].into();
                }
            }
            Edit::Removed(at) => {
                if let Some(Value::Array(values)) = pick(json, at, &Value::is_array) {
                    values.pop();
                }
            }
            Edit::Doubled(at) => {
                if let Some(Value::Array(values)) = pick(json, at, &Value::is_array) {
                    values.extend(values.last().cloned());
                }
            }
            Edit::Swapped(a, b) => {
                if let Some(Value::Array(values)) = pick(json, a, &Value::is_array) {
                    let count = values.len();
                    if count > 1 {
                        values.swap(b.index(count), (b.index(count) + 1) % count);
                    }
                }
            }
            Edit::Content(..) | Edit::Resized(..) | Edit::Compressed(..) => (),
        }
    }
    let mut bytes = parts.forged(|_| ());
    for edit in edits {
        if let Edit::Compressed(at, byte) = *edit {
            let before = bytes.len() - TRAILER_BYTES;
            bytes[at.index(before)] = byte;
        }
    }
    mend(&mut bytes);
    bytes
}

/// Makes the digest in the trailer that of the bytes.
fn mend(bytes: &mut Vec<u8>) {
    let before = bytes.len() - TRAILER_BYTES;
    let old = Trailer::parse(&bytes[before..], bytes.len() as u64).unwrap();
    let trailer = Trailer { digest: Sha256::digest(&bytes[..before]).into(), ..old };
    bytes.splice(before.., trailer.bytes());
}

/// Everything that can be done with a file.
fn read(bytes: &[u8], base: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made-up.run");
    std::fs::write(&file, bytes).unwrap();
    let out = folder.path().join("out");
    let done = look(&file, &out, base);
    let left: BTreeSet<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "out" || name == "made-up.run"), "{left:?}");
    if let Err(error) = done {
        assert!(error.is_damage() || error.is_refusal(), "{error}");
    }
}

fn look(file: &Path, out: &Path, base: Option<&Path>) -> Result<(), Error> {
    let archive = Archive::open(file)?;
    // Some are read without the check of the whole.
    let first = archive.manifest().entries[0].path.as_str().to_owned();
    let last = archive.manifest().entries.last().unwrap().path.as_str().to_owned();
    let part = archive.extract_only(out, &[last.clone(), first]);
    let _ = archive.manifest().to_string();
    let _ = std::fs::remove_dir_all(out);
    archive.verify(&mut |_| ())?;
    let whole = archive.verify_contents(&mut |_| ());
    let extracted = archive.extract(out, &|_| true, &mut |_| ());
    if whole.is_ok() {
        part.unwrap();
        extracted.unwrap();
        agree(&archive, file, out);
    }
    if let Some(base) = base {
        let base = Archive::open(base)?;
        apply(&archive, &base, &mut std::io::sink(), Path::new("out"), &mut |_| ())?;
    }
    whole
}

/// What lies in the folder is what lies in the tar stream.
fn agree(archive: &Archive, file: &Path, out: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let start = archive.trailer().stub_bytes as usize;
    let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(&bytes[start..]));
    let mut count = 0;
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(std::fs::read(out.join(entry.path().unwrap())).unwrap() == content);
        count += 1;
    }
    assert_eq!(count, archive.manifest().entries.len() + 1);
}

static TINY: LazyLock<(Made, Parts)> = LazyLock::new(|| {
    let made = make_tiny();
    let parts = Parts::of(&std::fs::read(&made.file).unwrap());
    (made, parts)
});

/// A base and a delta from it.
static DELTA: LazyLock<(Made, Parts)> = LazyLock::new(|| {
    let folder = TempDirRef::new(tempfile::tempdir().unwrap());
    let pack = |seed, version: &str| {
        let mut entries = entries();
        entries.iter_mut().for_each(|entry| entry.3.truncate(2000));
        entries.push(("bin/program", "core", Mode::Executable, noise(seed, 3000)));
        let description = Description { version: version.into(), ..description() };
        pack_as(&folder, description, entries, 1, &format!("{version}.run"))
    };
    let (old, new) = (pack(1, "1.0"), pack(2, "1.1"));
    let delta = folder.path().join("delta.run");
    let open = |made: &Made| Archive::open(&made.file).unwrap();
    make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
    (old, Parts::of(&std::fs::read(delta).unwrap()))
});

/// `PROPTEST_CASES`, or these.
fn cases(few: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(few), max_shrink_iters: 2000, ..ProptestConfig::default() }
}

#[test]
fn what_is_not_altered_is_good() {
    for (parts, base) in [(&TINY.1, None), (&DELTA.1, Some(DELTA.0.file.as_path()))] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("good.run");
        std::fs::write(&file, alter(parts, &[])).unwrap();
        look(&file, &folder.path().join("out"), base).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_altered_archive_is_read_or_refused(edits in proptest::collection::vec(edit(), 1..5)) {
        read(&alter(&TINY.1, &edits), None);
    }

    #[test]
    fn an_altered_delta_is_read_or_refused(edits in proptest::collection::vec(edit(), 1..5)) {
        read(&alter(&DELTA.1, &edits), Some(&DELTA.0.file));
    }

    /// Without a digest that agrees: bytes, and less of them.
    #[test]
    fn any_bytes_are_read_or_refused(
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<Index>()),
        end in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = TINY.1.clone().forged(|_| ());
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(end);
        read(&bytes, None);
    }

    /// The manifest as bytes, not as JSON.
    #[test]
    fn any_manifest_is_read_or_refused(
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        raw in any::<bool>(),
    ) {
        let parts = TINY.1.clone();
        let mut json = serde_json::to_vec(&parts.manifest).unwrap();
        for (at, byte) in edits {
            let at = at.index(json.len());
            json[at] = byte;
        }
        let bytes = match serde_json::from_slice(&json) {
            Ok(json) if !raw => headed(&parts.stub, &json, &[]),
            _ => whole(&parts.stub, &json, &[]),
        };
        read(&bytes, None);
    }

    #[test]
    fn any_trailer_is_parsed_or_refused(
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..8),
        size in any::<u64>(),
        is_right in any::<bool>(),
    ) {
        let good = TINY.1.clone().forged(|_| ());
        let mut bytes = good[good.len() - TRAILER_BYTES..].to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let size = if is_right { good.len() as u64 } else { size };
        if let Ok(trailer) = Trailer::parse(&bytes, size) {
            prop_assert_eq!(trailer.bytes(), bytes);
        }
    }
}
