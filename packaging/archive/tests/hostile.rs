//! Archives that no builder of ours makes: whole by their digest, wrong in what they say.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use made::forge::forge;
use made::{Made, make_tiny};
use packaging_archive::{Archive, Error, TRAILER_BYTES, Trailer};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// What opening, or else extracting, the forged file answers; nothing may appear outside the folder.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> Error {
    let Made { folder, file, .. } = make_tiny();
    forge(&file, change);
    let out = folder.path().join("out");
    let error = match Archive::open(&file) {
        Err(error) => error,
        Ok(archive) => archive.extract(&out, &|_| true, &mut |_| ()).unwrap_err(),
    };
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "out" || name == "made.run" || name == "cache"), "{names:?}");
    assert!(error.is_damage(), "{error}");
    error
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in ["../escape", "/etc/escape", "etc/../../escape", "etc//x", "."] {
        let error = refused(|json| json["entries"][2]["path"] = name.into());
        assert!(error.to_string().contains("refused"), "{name}: {error}");
    }
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let error = refused(|json| json["entries"][2]["path"] = json["entries"][1]["path"].clone());
    assert!(error.to_string().contains("two entries are called"), "{error}");
}

#[test]
fn a_file_that_is_also_a_folder_is_refused() {
    let error = refused(|json| json["entries"][2]["path"] = "bin/tool/x".into());
    assert!(error.to_string().contains("is a file"), "{error}");
}

#[test]
fn a_mode_beyond_the_two_is_refused() {
    refused(|json| json["entries"][2]["mode"] = "4755".into());
}

#[test]
fn a_table_that_lies_is_refused() {
    refused(|json| json["entries"][1]["size"] = 7.into());
    refused(|json| json["entries"][1]["sha256"] = "0".repeat(64).into());
    refused(|json| json["entries"][1]["member"] = 3.into());
    refused(|json| json["entries"][1]["member"] = 4_000_000.into());
    refused(|json| json["members"][1]["offset"] = 1.into());
    refused(|json| json["members"][1]["size"] = u64::MAX.into());
    refused(|json| json["members"][1]["raw_size"] = 512.into());
    refused(|json| json["members"][1]["raw_size"] = u64::MAX.into());
    refused(|json| {
        json["entries"].as_array_mut().unwrap().pop();
    });
    refused(|json| json["sections"][1]["name"] = "core".into());
}

#[test]
fn another_format_is_refused_by_its_number() {
    let error = refused(|json| json["format"] = 3.into());
    assert!(matches!(error, Error::Format { found: 3, known: 1, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No bytes make the reader panic, and what it refuses it refuses with an error of its own.
    #[test]
    fn no_input_makes_the_reader_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        mend in any::<bool>(),
    ) {
        static MADE: std::sync::LazyLock<Made> = std::sync::LazyLock::new(make_tiny);
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(&MADE.file).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if mend {
            // With a digest that agrees, so that the reader has to look at the content.
            let before = bytes.len() - TRAILER_BYTES;
            let old = Archive::open(&MADE.file).unwrap().trailer().clone();
            let trailer = Trailer { digest: Sha256::digest(&bytes[..before]).into(), ..old };
            bytes.splice(before.., trailer.bytes());
        } else {
            bytes.truncate(cut.index(bytes.len()));
        }
        let file = folder.path().join("edited.run");
        std::fs::write(&file, bytes).unwrap();
        if let Ok(archive) = Archive::open(&file) {
            let _ = archive.verify(&mut |_| ());
            let _ = archive.extract(&folder.path().join("out"), &|_| true, &mut |_| ());
        }
    }
}
