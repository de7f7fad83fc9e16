//! Prepares the testbed alone, for work on tests: `cargo run -p xtask-testbed --example prepare -- CACHE
//! [--virt|--linux|--browser]`, then `CAIRN_TESTBED=CACHE cargo test ...`. `cargo xtask test` does the same, and then
//! tests.

use anyhow::{Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let say = |line: &str| eprintln!("{line}");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [cache] => xtask_testbed::prepare(Path::new(cache), &say).map(drop),
        [cache, "--virt"] => xtask_testbed::prepare(Path::new(cache), &say)?.virt(&say).map(drop),
        [cache, "--linux"] => xtask_testbed::prepare(Path::new(cache), &say)?.linux_guest(&say).map(drop),
        [cache, "--browser"] => xtask_testbed::prepare(Path::new(cache), &say)?.browser(&say).map(drop),
        _ => bail!(
            "wants a cache folder, and `--virt` for the root with QEMU and libvirt, `--linux` for the guest, or \
             `--browser` for the root with Chromium"
        ),
    }
}
