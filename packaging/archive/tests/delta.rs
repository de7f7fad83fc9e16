//! A delta makes the new file of the old one, byte for byte, and nothing else of anything else.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use std::path::{Path, PathBuf};

use made::forge::forge;
use made::{
    File, Packed, STUB, TempDirRef, description, entries, noise, pack_as, pack_inputs, packed, packed_into,
};
use packaging_archive::{
    Archive, Description, Error, HELPER, Mode, Piece, PrivateKey, apply, hex, make_delta, sign,
};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Two files, and the delta between them.
struct Pair {
    folder: TempDirRef,
    old: PathBuf,
    new: PathBuf,
    delta: PathBuf,
}

fn version(version: &str) -> Description {
    Description { version: version.into(), ..description() }
}

fn pair_of(old: Vec<File>, new: Vec<File>) -> Pair {
    let folder = TempDirRef::new(tempfile::tempdir().unwrap());
    let old = pack_as(&folder, version("1.0"), old, 2, "old.run").file;
    let new = pack_as(&folder, version("1.1"), new, 2, "new.run").file;
    let delta = folder.path().join("delta.run");
    make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
    Pair { folder, old, new, delta }
}

/// A big program, of which the last version differs in one byte, and files that stay.
fn pair() -> Pair {
    pair_of(with_program(0), with_program(1))
}

fn with_program(byte: u8) -> Vec<File> {
    let mut program = noise(7, 10_000_000);
    program[6_000_000] = byte;
    let mut entries = entries();
    entries.push(("bin/program", "core", Mode::Executable, program));
    entries
}

fn open(file: &Path) -> Archive {
    let archive = Archive::open(file).unwrap();
    archive.verify(&mut |_| ()).unwrap();
    archive
}

fn applied(delta: &Path, base: &Path) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    apply(&open(delta), &open(base), &mut out, Path::new("out.run"), &mut |_| ()).map(|()| out)
}

#[test]
fn it_makes_the_new_file_of_the_old_one() {
    let Pair { folder: _kept, old, new, delta } = pair();
    assert!(applied(&delta, &old).unwrap() == std::fs::read(&new).unwrap());
    let archive = open(&delta);
    archive.verify_contents(&mut |_| ()).unwrap();
    let said = archive.delta().unwrap();
    assert_eq!((archive.manifest().version.as_str(), said.base.version.as_str()), ("1.1", "1.0"));
    assert_eq!(said.sha256, hex(&Sha256::digest(std::fs::read(&new).unwrap())));
    assert_eq!(said.base.digest, hex(&open(&old).trailer().digest));
    let shown = archive.manifest().to_string();
    assert!(
        shown.starts_with("made 1.1, a delta from 1.0\n") && shown.contains(&said.base.digest),
        "{shown}"
    );
    // The same again gives the same bytes.
    let before = std::fs::read(&delta).unwrap();
    make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
    assert!(std::fs::read(&delta).unwrap() == before);
}

#[test]
fn it_costs_what_has_changed_and_one_percent() {
    let Pair { folder: _kept, old, new, delta } = pair();
    let (old, new, delta) = (open(&old), open(&new), open(&delta));
    let known: Vec<&str> = old.manifest().members.iter().map(|member| member.sha256.as_str()).collect();
    let changed = new.manifest().members.iter().filter(|member| !known.contains(&member.sha256.as_str()));
    let changed: Vec<u64> = changed.map(|member| member.size).collect();
    assert_eq!(changed.len(), 1, "of three chunks of the program, one has changed");
    let helper = new.manifest().members[0].size;
    let bound = changed[0] + helper + new.trailer().file_bytes / 100;
    assert!(delta.trailer().file_bytes <= bound, "{} of {bound}", delta.trailer().file_bytes);
}

/// As many programs and packages as a release has, of 120 MB, with a helper of a megabyte.
fn release(version: &str, change: Option<(u64, u8)>) -> Vec<Packed> {
    let mut entries = vec![packed(HELPER, "core", 1, noise(1, 1_000_000))];
    let bytes = noise(2, 10_000_000);
    for index in 0..12 {
        let (behind, before) = bytes.split_at(index * 1000 + 1);
        let mut program = [before, behind].concat();
        // A new version is compiled from a newer commit and says so, in one place.
        let (mtime, byte) = change.filter(|_| index == 5).unwrap_or((1, 0));
        program[6_000_000] = byte;
        packed_into(&mut entries, &format!("bin/program-{index}"), mtime, program);
    }
    for index in 0..400 {
        let text = format!("file {index}\n").repeat(400);
        let mtime = change.map_or(1, |(mtime, _)| mtime);
        packed_into(&mut entries, &format!("share/small-{index}"), mtime, text.into_bytes());
    }
    packed_into(&mut entries, "share/version", 1, version.as_bytes().to_vec());
    entries
}

#[test]
fn a_change_in_one_program_of_a_release_costs_its_member_and_one_percent() {
    let folder = TempDirRef::new(tempfile::tempdir().unwrap());
    let old = pack_inputs(&folder, version("1.0"), release("1.0", None), 2, "old.run").file;
    // The commit is newer too: every time of that component, and of all small files, is another.
    let new = pack_inputs(&folder, version("1.1"), release("1.1", Some((2, 1))), 2, "new.run").file;
    let delta = folder.path().join("delta.run");
    make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
    let (old, new, delta) = (open(&old), open(&new), open(&delta));
    let known: Vec<&str> = old.manifest().members.iter().map(|member| member.sha256.as_str()).collect();
    let of_program: u64 = {
        let manifest = new.manifest();
        let first = manifest.entry("bin/program-5").unwrap().member;
        let last = manifest.entry("bin/program-6").unwrap().member;
        let members = manifest.members[first..last].iter();
        members.filter(|member| !known.contains(&member.sha256.as_str())).map(|member| member.size).sum()
    };
    assert!(of_program < 5_000_000, "a newer time changes no chunk: {of_program}");
    let head = new.trailer().stub_bytes + new.trailer().head_bytes;
    assert!(head <= new.trailer().file_bytes / 100, "stub and table are {head} bytes");
    let (size, bound) = (delta.trailer().file_bytes, new.trailer().file_bytes / 100 + of_program);
    assert!(size <= bound, "{size} of {bound}");
}

#[test]
fn a_new_helper_is_carried_once() {
    let mut new = with_program(0);
    new.iter_mut().find(|entry| entry.0 == HELPER).unwrap().3 = noise(99, 2_000_000);
    let Pair { folder: _kept, old, new, delta } = pair_of(with_program(0), new);
    assert!(applied(&delta, &old).unwrap() == std::fs::read(&new).unwrap());
    assert!(open(&delta).trailer().file_bytes < 2_100_000);
}

#[test]
fn signatures_are_those_of_the_new_file() {
    let Pair { folder: _kept, old, new, delta } = pair_of(tiny(1), tiny(2));
    let key = PrivateKey::generate().unwrap();
    sign(&open(&new), &key, &new).unwrap();
    make_delta(&open(&old), &open(&new), STUB, Some(&key), &delta).unwrap();
    assert_eq!(open(&delta).signer(), Some(&key.public()));
    // An old file that was signed meanwhile is the same base.
    sign(&open(&old), &key, &old).unwrap();
    assert!(applied(&delta, &old).unwrap() == std::fs::read(&new).unwrap());
    // A delta that is signed afterwards still says the same.
    make_delta(&open(&old), &open(&new), STUB, None, &delta).unwrap();
    sign(&open(&delta), &key, &delta).unwrap();
    assert!(applied(&delta, &old).unwrap() == std::fs::read(&new).unwrap());
}

#[test]
fn another_base_is_refused_with_both_versions_and_digests() {
    let Pair { folder, old, new, delta } = pair_of(tiny(1), tiny(2));
    let (wanted, found) = (hex(&open(&old).trailer().digest), hex(&open(&new).trailer().digest));
    let refusal = |delta: &Path, base: &Path| {
        let error = applied(delta, base).unwrap_err();
        assert!(error.is_refusal() && !error.is_damage(), "{error}");
        error.to_string()
    };
    let said = refusal(&delta, &new);
    for words in
        ["made 1.0 with the digest", &wanted, "is made 1.1 with the digest", &found, "; name the file"]
    {
        assert!(said.contains(words), "{said}");
    }
    let other = Description { product: "other".into(), ..version("1.0") };
    let other = pack_as(&folder, other, tiny(1), 1, "other.run").file;
    let said = refusal(&delta, &other);
    assert!(said.contains("a delta of made") && said.contains("other 1.0"), "{said}");
    assert!(refusal(&delta, &delta).contains("is a delta itself"));
    assert!(refusal(&old, &new).contains("it is no delta but a whole file"));
}

#[test]
fn no_delta_is_made_between_strangers() {
    let Pair { folder, old, new, delta } = pair_of(tiny(1), tiny(2));
    let other = Description { product: "other".into(), ..version("1.0") };
    let other = pack_as(&folder, other, tiny(1), 1, "other.run").file;
    let mut foreign = version("1.2");
    foreign.build.target = "aarch64-unknown-linux-gnu".into();
    let foreign = pack_as(&folder, foreign, tiny(1), 1, "foreign.run").file;
    let out = folder.path().join("nothing.run");
    for (old, new, words) in [
        (&old, &other, "two files of one product"),
        (&old, &foreign, "two files for one machine"),
        (&old, &old, "both files are the same"),
        (&delta, &new, "it is a delta itself"),
    ] {
        let error = make_delta(&open(old), &open(new), STUB, None, &out).unwrap_err();
        assert!(matches!(error, Error::Input { .. }) && error.to_string().contains(words), "{error}");
    }
    let mut bytes = std::fs::read(&old).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&old, bytes).unwrap();
    let error = make_delta(&Archive::open(&old).unwrap(), &open(&new), STUB, None, &out).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(!out.exists());
}

/// Entries of a few kilobytes.
fn tiny(seed: u64) -> Vec<File> {
    let mut entries = entries();
    for entry in &mut entries {
        entry.3.truncate(2000);
    }
    entries.push(("bin/program", "core", Mode::Executable, noise(seed, 3000)));
    entries
}

/// What a delta with a forged manifest answers when it is opened, or else when it is applied.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> Error {
    let Pair { folder: _kept, old, new: _, delta } = pair_of(tiny(1), tiny(2));
    forge(&delta, change);
    let error = match Archive::open(&delta) {
        Err(error) => error,
        Ok(delta) => {
            apply(&delta, &open(&old), &mut std::io::sink(), Path::new("out"), &mut |_| ()).unwrap_err()
        }
    };
    assert!(error.is_damage(), "{error}");
    error
}

#[test]
fn a_table_that_lies_is_refused() {
    let base = |offset: u64, size: u64| json!({"from": "base", "offset": offset, "size": size});
    let data = |size: u64| json!({"from": "data", "size": size});
    type Change = Box<dyn Fn(&mut serde_json::Value)>;
    let piece = |index: usize, piece: serde_json::Value| -> Change {
        Box::new(move |json| json["delta"]["pieces"][index] = piece.clone())
    };
    let set = |name: &'static str, value: serde_json::Value| -> Change {
        Box::new(move |json| json["delta"][name] = value.clone())
    };
    let lies: Vec<(Change, &str)> = vec![
        (piece(2, base(1 << 40, 5)), "of a base of"),
        (piece(2, base(u64::MAX, 5)), "of a base of"),
        (piece(2, base(5, u64::MAX)), "of a base of"),
        (piece(2, base(0, 0)), "is empty"),
        (piece(0, data(u64::MAX)), "its pieces make"),
        (piece(0, data(7)), "its pieces make"),
        (piece(0, json!({"from": "file", "path": "/etc/shadow", "size": 5})), "cannot be read"),
        (piece(2, json!({"from": "base", "offset": 0, "size": 5, "path": "/etc/shadow"})), "cannot be read"),
        (set("size", 7.into()), "its pieces make"),
        (set("size", u64::MAX.into()), "its pieces make"),
        (set("sha256", "0".repeat(64).into()), "it promises 000"),
        (set("sha256", "0".into()), "is not spelt as one"),
        (set("pieces", vec![base(0, 1); (1 << 16) + 1].into()), "more than any file has"),
        (set("pieces", vec![base(0, 5000); 1 << 16].into()), "its pieces make"),
        (Box::new(|json| json["delta"]["base"]["version"] = "../../etc/x".into()), "is no name of a file"),
        (Box::new(|json| json["delta"]["base"]["version"] = "..".into()), "is no name of a file"),
        (Box::new(|json| json["version"] = "a/b".into()), "is no name of a file"),
        (Box::new(|json| json["format"] = 1.into()), "that it is none"),
        (Box::new(|json| json["delta"] = serde_json::Value::Null), "that it is none"),
        (Box::new(|json| json["entries"][1]["path"] = "bin/data".into()), "and nothing else"),
        (
            Box::new(|json| {
                let mut more = json["entries"][1].clone();
                more["path"] = "etc/shadow".into();
                json["entries"].as_array_mut().unwrap().push(more);
            }),
            "and nothing else",
        ),
    ];
    for (index, (lie, words)) in lies.into_iter().enumerate() {
        let error = refused(lie);
        assert!(error.to_string().contains(words), "{index}: {error}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_written() {
    let error = refused(|json| {
        let mut pieces = json["delta"]["pieces"].as_array().unwrap().clone();
        let size = json["delta"]["base"]["size"].as_u64().unwrap();
        let more = vec![json!({"from": "base", "offset": 0, "size": size}); 60_000];
        pieces.extend(more);
        json["delta"]["pieces"] = pieces.into();
        json["delta"]["size"] = (json["delta"]["size"].as_u64().unwrap() + 60_000 * size).into();
    });
    assert!(error.to_string().contains("bytes out of"), "{error}");
}

#[test]
fn pieces_that_follow_one_another_are_one() {
    let Pair { folder: _kept, old: _, new: _, delta } = pair();
    let delta = open(&delta);
    let pieces = &delta.delta().unwrap().pieces;
    let from_base = pieces.iter().filter(|piece| matches!(piece, Piece::Base { .. })).count();
    assert_eq!((from_base, pieces[1]), (2, Piece::Helper), "{pieces:?}");
}

fn any_entries() -> impl Strategy<Value = Vec<File>> {
    let names = ["bin/a", "bin/b", "etc/c", "share/web/d", "share/web/e", "share/web/f"];
    let file = (any::<bool>(), 0u64..3, prop_oneof![0usize..4000, 200_000usize..600_000]);
    proptest::collection::vec(file, names.len()).prop_map(move |files| {
        let mut entries = vec![(HELPER, "core", Mode::Executable, noise(files[0].1, 5000))];
        for (name, (is_there, seed, size)) in names.into_iter().zip(files) {
            let section = if name.starts_with("share") { "web" } else { "core" };
            if is_there {
                entries.push((name, section, Mode::File, noise(seed, size)));
            }
        }
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever two files hold, the delta between them leads from one to the other.
    #[test]
    fn any_file_is_made_of_any_other(old in any_entries(), new in any_entries()) {
        let Pair { folder: _kept, old, new, delta } = pair_of(old, new);
        prop_assert!(applied(&delta, &old).unwrap() == std::fs::read(&new).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A byte of a delta that is another one is damage, wherever it lies.
    #[test]
    fn any_flipped_byte_is_damage(at in any::<prop::sample::Index>(), flip in 1u8..) {
        static PAIR: std::sync::LazyLock<Pair> = std::sync::LazyLock::new(|| pair_of(tiny(1), tiny(2)));
        let mut bytes = std::fs::read(&PAIR.delta).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flipped.run");
        std::fs::write(&file, bytes).unwrap();
        let error = Archive::open(&file).and_then(|archive| archive.verify(&mut |_| ())).unwrap_err();
        prop_assert!(error.is_damage(), "byte {}: {}", at, error);
    }
}
