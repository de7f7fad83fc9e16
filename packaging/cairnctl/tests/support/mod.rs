//! What tests of the packed file share: where it lies, and the testbed.

use std::path::PathBuf;

/// The packed file under test.
pub fn run_file() -> PathBuf {
    let file = std::env::var_os("CAIRN_RUN_FILE");
    PathBuf::from(file.expect("CAIRN_RUN_FILE names no .run file; run `cargo xtask test`, which builds one"))
}

/// The testbed, prepared.
pub fn testbed() -> xtask_testbed::Testbed {
    xtask_testbed::Testbed::from_env().expect("a prepared testbed")
}
