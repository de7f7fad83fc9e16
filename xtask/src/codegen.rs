//! `codegen`: writes anew what is checked in and follows from the code: the tests that hold such a file to the code write it where
//! a variable says so. What changed is for `git diff` to show, and for people to read.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::all_in_one::tree;

/// Read by the tests: write, do not compare.
const VARIABLE: &str = "CAIRN_CODEGEN";

/// What is written, and the tests that do it: package, test program, and words in the names of its tests.
const GENERATED: [(&str, [&str; 3]); 2] = [
    ("server/openapi.json", ["server", "it", "the_document_that_is_checked_in"]),
    (
        "agent/hypervisor/tests/domain: golden, disks.txt",
        ["agent-hypervisor", "domain", "is_described_as_in"],
    ),
];

/// Runs the command.
///
/// # Errors
/// If a test cannot be compiled, or fails although it has written what it compares.
pub fn command() -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(tree());
    shell.set_var(VARIABLE, "1");
    for (what, [package, test, words]) in GENERATED {
        eprintln!("{what}");
        cmd!(
            shell,
            "cargo test --quiet --all-features --locked --package {package} --test {test} -- {words}"
        )
        .run()?;
    }
    Ok(())
}
