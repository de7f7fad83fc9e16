//! Who finds an interrupted run, what is said of it, and what is done when nothing was chosen.

use std::fs;

use crate::restored::{RESTORE, with_a_backup};
use crate::stage::{INSTALL, ROLLBACK, Stage, UNINSTALL, UPGRADE};

#[test]
fn it_is_said_what_was_interrupted_and_whose_it_was() {
    let stage = Stage::new();
    assert_eq!(stage.run(INSTALL, &[], "kill:30").code, None);
    let before = stage.listing();
    stage
        .run(INSTALL, &["--dry-run"], "")
        .expect(0)
        .says("the install of cairn 1.0 was interrupted at `")
        .says("(process ")
        .says("would go on with it");
    stage.run(INSTALL, &["--dry-run", "--undo"], "").expect(0).says("would put everything back");
    assert_eq!(before.diff(&stage.listing()), "");
    stage.run(INSTALL, &[], "").expect(0).says("going on:");
}

#[test]
fn another_verb_puts_everything_back_first() {
    let stage = Stage::new();
    let bare = stage.listing();
    assert_eq!(stage.run(INSTALL, &[], "kill:30").code, None);
    stage.run(UNINSTALL, &[], "").expect(0).says("putting everything back").says("nothing to do");
    assert_eq!(bare.diff(&stage.listing()), "");
}

#[test]
fn without_an_interrupted_run_there_is_nothing_to_resume_or_undo() {
    let stage = Stage::new();
    let bare = stage.listing();
    stage.run(INSTALL, &["--resume"], "").expect(1).says("no run below");
    stage.run(INSTALL, &["--undo"], "").expect(0).says("nothing to do");
    stage.run(INSTALL, &["--undo", "--resume"], "").expect(1);
    assert_eq!(bare.diff(&stage.listing()), "");
}

#[test]
fn what_cannot_be_put_back_is_named_and_put_back_later() {
    let stage = Stage::new();
    let bare = stage.listing();
    // The second place behind the error is a deed of the way back.
    let failed = stage.run(INSTALL, &[], "error:40,error:42").expect(7);
    failed.says("not everything could be put back");
    stage.run(INSTALL, &["--undo"], "").expect(0);
    assert_eq!(bare.diff(&stage.listing()), "");
}

#[test]
fn a_damaged_journal_needs_a_hand() {
    let stage = Stage::new();
    assert_eq!(stage.run(INSTALL, &[], "kill:30").code, None);
    let file = stage.at(".cairn-journal");
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, bytes).unwrap();
    let before = stage.listing();
    stage.run(INSTALL, &[], "").expect(7).says("is damaged");
    assert_eq!(before.diff(&stage.listing()), "");
}

/// As with a quota, of which preflight sees nothing. Files of all sizes are written, the journal among them, so that one step
/// after another cannot be done.
#[test]
fn files_that_may_not_be_written_are_4_and_everything_is_put_back() {
    for (stage, verb) in [
        (Stage::new(), INSTALL),
        (Stage::after(&[INSTALL]), UPGRADE),
        (Stage::after(&[INSTALL, UPGRADE]), ROLLBACK),
        (Stage::after(&[INSTALL]), UNINSTALL),
        (with_a_backup(), RESTORE),
    ] {
        let old = stage.listing();
        let mut refused = 0;
        for blocks in (1..40).chain((40..).step_by(40)) {
            let done = stage.run_limited(verb, blocks);
            if done.code == Some(0) {
                break;
            }
            done.expect(4);
            refused += 1;
            assert_eq!(old.diff(&stage.listing()), "", "{:?} within {blocks} blocks", verb.words);
        }
        assert!(refused > 3, "{:?}: {refused}", verb.words);
    }
}
