//! Every place, counted up until a run comes to its end without having been hurt.

use xtask_testbed::Listing;

use crate::restored::{RESTORE, with_a_backup};
use crate::stage::{Done, INSTALL, PURGE, ROLLBACK, Stage, UNINSTALL, UPGRADE, Verb};

/// How many places a run has at least: a smaller number means that faults are not understood any more.
const FEW: usize = 20;

/// Kills the verb at each place. Then the verb again, which goes on, has to lead to the state after; and --undo to the state
/// before, as long as it can be taken back.
fn killed_everywhere(stage: &Stage, verb: Verb) {
    stage.keep("before");
    let old = stage.listing();
    stage.run(verb, &[], "").expect(0);
    let new = stage.listing();
    let mut committed = false;
    for place in 0.. {
        stage.back("before");
        let killed = stage.run(verb, &[], &format!("kill:{place}"));
        if killed.code.is_some() {
            killed.expect(0);
            assert!(place > FEW && committed, "only {place} places");
            return;
        }
        stage.keep("killed");
        go_on(stage, verb, [&old, &new], &format!("killed at {place}, and gone on with"));

        stage.back("killed");
        let undone = stage.run(verb, &["--undo"], "");
        if undone.code == Some(8) {
            committed = true;
            undone.says("is done but for clearing away");
            stage.run(verb, &["--resume"], "").expect(0);
            assert_eq!(new.diff(&stage.listing()), "", "killed at {place}, when it was committed");
        } else {
            undone.expect(0);
            // The last removal of all leaves nothing behind that could be taken back.
            let now = stage.listing();
            if committed {
                assert_eq!(new.diff(&now), "", "killed at {place}, at the very end");
            } else {
                assert_eq!(old.diff(&now), "", "killed at {place}, and taken back");
            }
        }
    }
}

/// Goes on with what was interrupted. Where it had not begun or had ended, it is the state before or after, and begins now.
fn go_on(stage: &Stage, verb: Verb, [old, new]: [&Listing; 2], when: &str) {
    let resumed = stage.run(verb, &["--resume"], "");
    if resumed.code == Some(1) {
        resumed.says("was interrupted; leave out --resume");
        if new.diff(&stage.listing()).is_empty() {
            return;
        }
        assert_eq!(old.diff(&stage.listing()), "", "{when}");
        stage.run(verb, &[], "").expect(0);
    } else {
        resumed.expect(0);
    }
    assert_eq!(new.diff(&stage.listing()), "", "{when}");
}

/// Fails the verb at each place: it takes everything back by itself, or is done but for clearing away. Then kills it at each
/// place while it takes back the most that there is.
fn failed_everywhere(stage: &Stage, verb: Verb) {
    stage.keep("before");
    let old = stage.listing();
    stage.run(verb, &[], "").expect(0);
    let new = stage.listing();
    let (mut last, mut ended) = (0, false);
    for place in 0.. {
        stage.back("before");
        let done = stage.run(verb, &[], &format!("error:{place}"));
        match done.code {
            Some(0) => break,
            Some(6) => {
                assert_eq!(old.diff(&stage.listing()), "", "failed at {place}");
                last = place;
            }
            // Before the journal there is nothing to take back, behind it there is clearing away.
            _ => {
                done.expect(7);
                ended |= last > 0;
                go_on(stage, verb, [&old, &new], &format!("failed at {place}"));
            }
        }
    }
    assert!(last > FEW && ended, "the last place with a way back is {last}");
    for place in last + 1.. {
        stage.back("before");
        let killed = stage.run(verb, &[], &format!("error:{last},kill:{place}"));
        if killed.code.is_some() {
            killed.expect(6);
            assert!(place > last + 5);
            return;
        }
        stage.run(verb, &["--undo"], "").expect(0);
        assert_eq!(old.diff(&stage.listing()), "", "killed at {place}, while it was taken back");
    }
}

/// Kills whoever goes on with what was killed, and whoever takes it back, at each of their places.
fn killed_again(before: &[Verb], verb: Verb, first: usize) {
    let stage = Stage::after(before);
    let old = stage.listing();
    let died = |done: &Done| done.code.is_none();
    assert!(died(&stage.run(verb, &[], &format!("kill:{first}"))));
    stage.keep("before");
    stage.run(verb, &[], "").expect(0);
    let new = stage.listing();
    for (choice, expected) in [("--resume", &new), ("--undo", &old)] {
        for place in 0.. {
            stage.back("before");
            if !died(&stage.run(verb, &[choice], &format!("kill:{place}"))) {
                assert!(place > 5);
                break;
            }
            let again: &[&str] = if choice == "--undo" { &["--undo"] } else { &[] };
            stage.run(verb, again, "").expect(0);
            assert_eq!(expected.diff(&stage.listing()), "", "{choice}, killed at {place}");
        }
    }
}

#[test]
fn install_killed() {
    killed_everywhere(&Stage::after(&[]), INSTALL);
}

#[test]
fn install_failed() {
    failed_everywhere(&Stage::after(&[]), INSTALL);
}

#[test]
fn install_killed_again() {
    killed_again(&[], INSTALL, 40);
}

#[test]
fn uninstall_killed() {
    killed_everywhere(&Stage::after(&[INSTALL]), UNINSTALL);
    killed_everywhere(&Stage::after(&[INSTALL]), PURGE);
}

#[test]
fn uninstall_failed() {
    failed_everywhere(&Stage::after(&[INSTALL]), UNINSTALL);
}

#[test]
fn upgrade_killed() {
    killed_everywhere(&Stage::after(&[INSTALL]), UPGRADE);
}

#[test]
fn upgrade_failed() {
    failed_everywhere(&Stage::after(&[INSTALL]), UPGRADE);
}

#[test]
fn rollback_killed() {
    killed_everywhere(&Stage::after(&[INSTALL, UPGRADE]), ROLLBACK);
}

#[test]
fn rollback_failed() {
    failed_everywhere(&Stage::after(&[INSTALL, UPGRADE]), ROLLBACK);
}

#[test]
fn restore_killed() {
    killed_everywhere(&with_a_backup(), RESTORE);
}

#[test]
fn restore_failed() {
    failed_everywhere(&with_a_backup(), RESTORE);
}
