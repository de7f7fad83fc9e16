//! What an installation and an upgrade refuse before anything is done: a file that is not as it was packed, and a clock that is
//! behind it.

use std::fs;

use packaging_archive::{HELPER, Mode};

use crate::pair::pack_made;
use crate::stage::{INSTALL, Stage, UPGRADE, Verb};

/// A file that a test makes.
const OTHER: &str = "other";

const VERBS: [(&[Verb], Verb); 2] = [
    (&[], Verb { version: Some(OTHER), words: INSTALL.words }),
    (&[INSTALL], Verb { version: Some(OTHER), words: UPGRADE.words }),
];

#[test]
fn a_file_that_is_cut_short_or_altered_is_2_and_changes_nothing() {
    for (before, verb) in VERBS {
        let stage = Stage::after(before);
        let old = stage.listing();
        let good = fs::read(stage.file("2.0")).unwrap();
        let middle = good.len() / 2;
        let mut altered = good.clone();
        altered[middle] ^= 1;
        let longer = [&good[..], b"x"].concat();
        for bytes in [&good[..good.len() - 1], &good[..middle], &good[..4096], &altered, &longer] {
            fs::write(stage.file(OTHER), bytes).unwrap();
            stage.run(verb, &[], "").expect(2);
            assert_eq!(old.diff(&stage.listing()), "", "{:?}, {} bytes", verb.words, bytes.len());
        }
    }
}

/// As with a clock that was never set: the file is from a time that has not come yet.
#[test]
fn a_clock_behind_the_file_is_3_and_changes_nothing() {
    let year_2100 = 4_102_444_800;
    for (before, verb) in VERBS {
        let stage = Stage::after(before);
        let old = stage.listing();
        let entries = vec![(HELPER, Mode::Executable, b"a helper".to_vec())];
        pack_made(&stage.file(OTHER), "cairn", "2.0", year_2100, entries);
        let refused = stage.run(verb, &[], "").expect(3);
        refused.says("before the archive was made (2100-01-01 00:00:00 UTC)").says("remedy: set the clock");
        assert_eq!(old.diff(&stage.listing()), "", "{:?}", verb.words);
    }
}
