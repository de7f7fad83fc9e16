//! `all-in-one`: read, resolve, plan, run, report.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use packaging_archive::hex;
use serde_json::json;

use crate::answer::answer;
use crate::buildfile;
use crate::cache::{Cache, UNUSED_DAYS};
use crate::cli::AllInOne;
use crate::digest;
use crate::environment::{self, Surroundings};
use crate::failure::Failure;
use crate::key;
use crate::os;
use crate::packages;
use crate::plan::{GLIBC_FLOOR, Inputs, Plan, RunningTree, Step, plan, short};
use crate::progress::{Format, Progress};
use crate::refs::{self, Resolved, Sources};
use crate::run::{Outcome, Runner};

/// Runs the command.
///
/// # Errors
/// With the exit code that belongs to the failure.
pub fn command(args: &AllInOne) -> Result<()> {
    let progress = Progress::new(args.format, args.quiet);
    let portable = args.reach.is_portable(args.version.as_ref())?;
    packages::require(packages::BUILD, args.offline, &|line| progress.say(line))?;
    let chosen = args.choice.read()?;
    let wanted = args.choice.wanted(args.version.as_ref())?;
    let key = key::given(&args.key)?;
    let signer = key.as_ref().map(|key| key.public().fingerprint().to_string());
    let what = args.version.as_ref().map_or(refs::WORKTREE, crate::version::Version::as_str);
    let offline =
        args.offline.then(|| args.choice.fetch_command(&args.os, args.version.as_ref(), args.reach));
    let cache = args.choice.open_cache(&format!("all-in-one of {what}"), &progress)?;
    let mut sources = Sources::new(&cache, chosen.source_root.clone(), offline.clone());
    let components = refs::resolve(&chosen.file, &wanted, &mut sources)?;
    let toolchain = running_tree(&cache)?;
    let offline_by = offline.as_deref();
    let os = os::resolve(&args.os, &chosen.folder, args.version.as_ref(), &cache, offline_by, &progress)?;
    if let Some(version) = args.version.as_ref().filter(|_| toolchain.dirty && !args.allow_dirty) {
        return Err(Failure::usage(format!(
            "`{}` has uncommitted changes, and the script and the helper of `{version}` would be built from them; \
             commit them, or add --allow-dirty",
            toolchain.source
        )));
    }
    let out = args.out.clone().unwrap_or_else(|| tree().join("target/dist"));
    let jobs =
        args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let surroundings = Surroundings::own(jobs);
    let plan = plan(&Inputs {
        file: &chosen.file,
        components: &components,
        toolchain: &toolchain,
        os: &os,
        version: args.version.as_ref(),
        name: args.name.as_deref(),
        portable,
        manifest_sha256: &digest::hex_of_file(&chosen.manifest)?,
        manifest_folder: text(&chosen.folder)?,
        out: text(&std::path::absolute(&out)?)?,
        signer: signer.clone(),
        again: args.verify_reproducible.then(|| surroundings.others()),
    })?;
    announce(&plan, &components, &toolchain, signer.as_deref(), &progress);
    if args.dry_run {
        return Ok(());
    }
    let runner = Runner {
        plan: &plan,
        components: &components,
        toolchain: &toolchain,
        cache: &cache,
        progress: &progress,
        key: key.as_ref(),
        offline: offline.as_deref(),
        surroundings: &surroundings,
        again: false,
    };
    let outcome = runner.run()?.context("the plan assembles nothing")?;
    clear(&cache, &progress);
    report(&outcome, &plan, &components, signer.as_deref(), &progress);
    Ok(())
}

/// Clears what no build has used for long. The result lies in its place by then: that something cannot be removed is said,
/// and fails nothing.
fn clear(cache: &Cache, progress: &Progress) {
    let unused = cache.unused(SystemTime::now());
    if unused.is_empty() {
        return;
    }
    progress.say(&format!("clearing from the cache what no build has used for {UNUSED_DAYS} days:"));
    for path in unused {
        let removed = Cache::clear(&path);
        let trouble = removed.as_ref().err().map(|error| format!(" ({error})")).unwrap_or_default();
        progress.say(&format!("  {}{trouble}", path.display()));
        progress.emit(&json!({"event": "cleared", "path": path, "removed": removed.is_ok()}));
    }
}

/// The tree that this program was built from.
pub fn tree() -> PathBuf {
    let own =
        std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|path| path.ends_with("xtask"));
    let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    own.parent().unwrap_or(&own).to_owned()
}

/// The running tree as it is now.
///
/// # Errors
/// If git cannot read it.
pub fn running_tree(cache: &Cache) -> Result<RunningTree> {
    let mut sources = Sources::new(cache, tree(), None);
    let (mirror, source) = sources.mirror(".").context("the running tree")?;
    let snapshot = mirror.snapshot(Path::new(&source))?;
    let channel = refs::toolchain_of(&mirror, &snapshot.tree_commit)?.unwrap_or_else(|| "stable".to_owned());
    let time = mirror.time(&snapshot.head)?;
    Ok(RunningTree {
        source,
        commit: snapshot.head,
        tree: snapshot.tree_commit,
        dirty: snapshot.dirty,
        channel,
        time,
    })
}

/// A path that has to be written down.
///
/// # Errors
/// If it is not text.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Failure::usage(format!("`{}` is not UTF-8 text; use a path that is", path.display())))
}

fn announce(
    plan: &Plan,
    components: &[Resolved],
    toolchain: &RunningTree,
    signer: Option<&str>,
    progress: &Progress,
) {
    if progress.format() == Format::Json {
        progress.emit(&json!({
            "event": "plan",
            "product": plan.product,
            "version": plan.version,
            "file": plan.file_name(),
            "components": described(components),
            "toolchain": {"commit": toolchain.commit, "dirty": toolchain.dirty},
            "native": !plan.portable,
            "signed_by": signer,
            "not_passed_on": environment::dropped(&toolchain.channel),
            "steps": plan.steps,
        }));
        return;
    }
    progress.say(&format!("{} {}", plan.product, plan.version));
    for component in components {
        let from = match component.origin {
            packaging_archive::Origin::Checkout => "its own checkout",
            packaging_archive::Origin::Manifest => "the manifest given",
        };
        let stamp = match component.recipe.kind {
            Some(buildfile::Kind::Cargo) if !component.recipe.stamp => ", unstamped",
            _ => "",
        };
        progress.say(&format!("  {}, recipe from {from}{stamp}", line(component)));
    }
    let dirty = if toolchain.dirty { ", with uncommitted changes" } else { "" };
    progress.say(&format!("  toolchain {}{dirty}", short(&toolchain.commit)));
    progress.say(&format!("  {}", reach(plan)));
    match signer {
        Some(signer) => progress.say(&format!("  signed by {signer}")),
        None => progress.say("  not signed: no key was given"),
    }
    for step in &plan.steps {
        if let Step::Fetch { bundle, license: None, .. } = step {
            progress.say(&format!("  {bundle} states no license: the list of parts will have none for it"));
        }
    }
    let dropped = environment::dropped(&toolchain.channel);
    if !dropped.is_empty() {
        progress.say(&format!("  not passed on to builds: {}", dropped.join(", ")));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        progress.say(&format!("{:>3}. {step}", index + 1));
    }
}

fn report(
    outcome: &Outcome,
    plan: &Plan,
    components: &[Resolved],
    signer: Option<&str>,
    progress: &Progress,
) {
    let (file, size, sha256) = (outcome.file.display(), outcome.size, hex(&outcome.digest));
    if progress.format() == Format::Json {
        progress.emit(&json!({
            "event": "result",
            "product": plan.product,
            "version": plan.version,
            "components": described(components),
            "native": !plan.portable,
            "file": outcome.file,
            "size": size,
            "sha256": sha256,
            "signed_by": signer,
        }));
        return;
    }
    for component in components {
        progress.say(&line(component));
    }
    progress.say(&reach(plan));
    if let Some(signer) = signer {
        progress.say(&format!("signed by {signer}"));
    }
    // The file lies in its place, whether anybody reads this or not.
    let _ = answer!("{file} {size} bytes sha256 {sha256}");
}

/// Which machines the programs are for.
fn reach(plan: &Plan) -> String {
    let needed = if plan.portable {
        format!("glibc {GLIBC_FLOOR} or newer")
    } else {
        "a C library at least as new as this machine's".to_owned()
    };
    format!("{} build: its programs need {needed}", plan.kind())
}

fn line(component: &Resolved) -> String {
    let dirty = if component.dirty { " with uncommitted changes" } else { "" };
    let version =
        component.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    format!("{} {} {}{dirty}{version}", component.name, component.reference, component.commit)
}

fn described(components: &[Resolved]) -> serde_json::Value {
    components
        .iter()
        .map(|component| {
            json!({
                "name": component.name,
                "source": component.source,
                "ref": component.reference,
                "commit": component.commit,
                "dirty": component.dirty,
                "recipe": component.origin,
                "version": component.version,
            })
        })
        .collect()
}
