//! What the tests of real parts share: the prepared testbed, and the proof that nothing of a clone is left.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use xtask_testbed::Testbed;

/// The testbed that `CAIRN_TESTBED` names.
pub fn testbed() -> &'static Testbed {
    static TESTBED: OnceLock<Testbed> = OnceLock::new();
    TESTBED.get_or_init(|| Testbed::from_env().expect("a prepared testbed"))
}

/// What of the clone `name` is still there: processes, mounts in any namespace, control groups, its folder.
pub fn left_over(name: &str) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").filter_map(Result::ok) {
        let number = entry.file_name().to_string_lossy().into_owned();
        if number.parse::<u32>().is_err() || number == std::process::id().to_string() {
            continue;
        }
        for file in ["cmdline", "mountinfo"] {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            if holds_name(&String::from_utf8_lossy(&text), name) {
                left.push(format!("process {number}: {file}"));
            }
        }
    }
    for hierarchy in ["", "systemd", "unified"] {
        let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(name);
        if group.exists() {
            left.push(group.display().to_string());
        }
    }
    let cache = std::env::var(xtask_testbed::ENV_CACHE).expect("the cache folder");
    let folder = Path::new(&cache).join("testbed/clones").join(name);
    if folder.exists() {
        left.push(folder.display().to_string());
    }
    left
}

/// Whether `name` is in `text` as a whole: `...-1` is not in `...-12`.
fn holds_name(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit()))
}
