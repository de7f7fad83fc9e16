//! `fetch`: everything that a build without a network needs, brought by the steps of that build that need one. Mirrors and
//! bundled files come into the cache folder, crates and toolchains into the homes of cargo and rustup, where a build looks.

use anyhow::Result;

use crate::all_in_one::{running_tree, text};
use crate::cli::Fetch;
use crate::digest;
use crate::environment::Surroundings;
use crate::os;
use crate::packages;
use crate::plan::{Inputs, plan};
use crate::progress::{Format, Progress};
use crate::refs::{self, Sources};
use crate::run::Runner;

/// Runs the command.
///
/// # Errors
/// As `all-in-one` has them, for what cannot be fetched.
pub fn command(args: &Fetch) -> Result<()> {
    let progress = Progress::new(Format::Human, args.quiet);
    let portable = args.reach.is_portable(args.version.as_ref())?;
    packages::require(packages::BUILD, false, &|line| progress.say(line))?;
    let chosen = args.choice.read()?;
    let wanted = args.choice.wanted(args.version.as_ref())?;
    let what = args.version.as_ref().map_or(refs::WORKTREE, crate::version::Version::as_str);
    let cache = args.choice.open_cache(&format!("fetch of {what}"), &progress)?;
    let mut sources = Sources::new(&cache, chosen.source_root.clone(), None);
    let components = refs::resolve(&chosen.file, &wanted, &mut sources)?;
    let toolchain = running_tree(&cache)?;
    let os = os::resolve(&args.os, &chosen.folder, args.version.as_ref(), &cache, None, &progress)?;
    let plan = plan(&Inputs {
        file: &chosen.file,
        components: &components,
        toolchain: &toolchain,
        os: &os,
        version: args.version.as_ref(),
        name: None,
        portable,
        manifest_sha256: &digest::hex_of_file(&chosen.manifest)?,
        manifest_folder: text(&chosen.folder)?,
        // Nothing comes out.
        out: "",
        signer: None,
        again: None,
    })?
    .fetching();
    let runner = Runner {
        plan: &plan,
        components: &components,
        toolchain: &toolchain,
        cache: &cache,
        progress: &progress,
        key: None,
        offline: None,
        surroundings: &Surroundings::own(1),
        again: false,
    };
    runner.run()?;
    progress.say(&format!("all that {what} needs is here; build it with cargo xtask all-in-one --offline"));
    Ok(())
}
