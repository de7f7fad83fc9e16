//! `test`: everything that has to hold before a change is taken, the same for people and for CI.
//!
//! The tools and the scratch root are made ready, the tree and the pinned releases are packed once, and then the tests run,
//! every ring of them: pure ones, programs in process, real parts, and the offline host. They find what was made ready
//! through variables, and make nothing themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::all_in_one::tree;
use crate::cache::default_folder;
use crate::cli::Test;
use crate::failure::Failure;
use crate::packages;

/// The releases that tests install or look at, as a release engineer builds them, but from a tree that may be worked on, and for
/// this machine alone: what is compiled for others is compiled anew. The last one only packs what the one before it has
/// compiled.
const RELEASES: [&[&str]; 3] = [
    &["--allow-dirty", "--native", "--version", "0.9"],
    &["--allow-dirty", "--native", "--version", "0.9fix"],
    &["--allow-dirty", "--native", "--version", "0.9fix", "--component", "dashboard=0.9", "--name", "qa"],
];

/// Runs the command.
///
/// # Errors
/// The first thing that does not hold.
pub fn command(args: &Test) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    if !packages::is_root() {
        return Err(Failure::unsupported(
            "tests that mount and boot need the superuser; run it as root, or run the others alone: cargo test --workspace",
        ));
    }
    packages::require(packages::BUILD, false, &say)?;
    packages::require(packages::TEST, false, &say)?;
    packages::require(packages::BENCH, false, &say)?;
    let cache = default_folder()?;
    let testbed = xtask_testbed::prepare(&cache, &say)?;
    testbed.virt(&say)?;
    testbed.browser(&say)?;
    testbed.linux_guest(&say)?;

    let shell = Shell::new()?;
    shell.change_dir(tree());
    cmd!(shell, "cargo fmt --all --check").run().context("the code is not formatted; run cargo fmt --all")?;
    cmd!(shell, "cargo clippy --quiet --workspace --all-targets --all-features --locked -- --deny warnings")
        .run()?;
    // Those of the full run are not among all targets.
    cmd!(
        shell,
        "cargo clippy --quiet --package xtask --package cairnctl --all-features --locked --test full -- --deny warnings"
    )
    .run()?;
    let out = emptied("test-dist")?;
    pack(&shell, &out, &[])?;
    shell.set_var("CAIRN_RUN_FILE", only_run_file(&out)?);
    let releases = emptied("test-releases")?;
    for words in RELEASES {
        pack(&shell, &releases, words)?;
    }
    shell.set_var("CAIRN_RELEASES", &releases);
    shell.set_var(xtask_testbed::ENV_CACHE, &cache);
    shell.set_var("CAIRN_TEST_CACHE", &cache);
    if args.full {
        shell.set_var("CAIRN_TEST_FULL", "1");
        testbed.kernel(&say)?;
        let carrying = emptied("test-os")?;
        pack(&shell, &carrying, &["--os", "debian-12", "--guest"])?;
        shell.set_var("CAIRN_OS_RUN_FILE", only_run_file(&carrying)?);
    }
    let filter = args.filter.as_slice();
    // No test is skipped when another fails: one run shows all that is wrong.
    cmd!(shell, "cargo test --workspace --all-features --locked --no-fail-fast -- {filter...}").run()?;
    if args.full {
        cmd!(shell, "cargo test --package xtask --package cairnctl --all-features --locked --no-fail-fast --test full -- {filter...}")
            .run()?;
        // Once more with a libvirt and a QEMU of two years later.
        testbed.later_virt(&say)?;
        shell.set_var(xtask_testbed::ENV_VIRT, xtask_testbed::LATER_VIRT);
        cmd!(
            shell,
            "cargo test --package agent-libvirt --package agent-hypervisor --all-features --locked --no-fail-fast --test real --test libvirt --test domain -- {filter...}"
        )
        .run()?;
    }
    Ok(())
}

/// A folder below `target` with nothing in it.
fn emptied(name: &str) -> Result<PathBuf> {
    let folder = tree().join("target").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    Ok(folder)
}

/// Packs with the command that people use.
fn pack(shell: &Shell, out: &Path, words: &[&str]) -> Result<()> {
    let own = std::env::current_exe()?;
    Ok(cmd!(shell, "{own} all-in-one {words...} --out {out}").run()?)
}

fn only_run_file(folder: &Path) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_run = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
    files.into_iter().find(is_run).with_context(|| format!("nothing was packed into `{}`", folder.display()))
}
