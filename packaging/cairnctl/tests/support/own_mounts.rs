//! A test in a mount namespace of its own: whatever it mounts is gone when it has ended, however it ends.

use std::path::Path;
use std::process::Command;

/// Set where the namespace is.
const INSIDE: &str = "CAIRN_TEST_OWN_MOUNTS";

/// Runs `test`, which has this name with its modules in front, in such a namespace: this program is started there once more.
pub fn with_own_mounts(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    println!("{said}");
}

/// `mount WORDS AT`.
pub fn mount(words: &[&str], at: &Path) {
    let output = Command::new("mount").args(words).arg(at).output().unwrap();
    assert!(output.status.success(), "mount {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
