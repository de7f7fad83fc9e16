//! The second build: the same steps from the same commits, with a cache folder that is empty and elsewhere, and in other
//! surroundings. What it makes is compared, and never published.
//!
//! Commits come from copies of the mirrors, so that both builds have the same even if a source changes meanwhile; bundled
//! files and packages, which are known by their SHA-256, are not fetched again. Build tools are the same, in another place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use packaging_archive::Archive;
use serde_json::json;

use super::Runner;
use crate::cache::Cache;
use crate::compare;
use crate::environment::Surroundings;
use crate::git::Mirror;
use crate::plan::{Place, Step};
use crate::publish;
use crate::tools::Tools;

/// The empty cache folder. Its length is another than any path of the first build has: compilers put paths into programs.
const ELSEWHERE: &str = "a-cache-folder-that-no-build-has-used-before";

/// Builds again, and compares with what waits to be published as `file`.
///
/// # Errors
/// Naming what differs. Then nothing waits any more, and both files are kept where the error says.
pub fn build(first: &Runner<'_>, file: &Path, surroundings: &Surroundings) -> Result<()> {
    let compared = build_and_compare(first, file, surroundings);
    if compared.is_err() {
        publish::discard(file)?;
    }
    compared
}

fn build_and_compare(first: &Runner<'_>, file: &Path, surroundings: &Surroundings) -> Result<()> {
    let folder = first.cache.again();
    remove(&folder)?;
    let (elsewhere, out) = (folder.join(ELSEWHERE), folder.join("second"));
    let cache = Cache::open(Some(&elsewhere), "a second build", &|_, _| ())?;
    bring(first, &cache)?;
    let plan = first.plan.for_folder(out.to_str().context("the cache folder's path is not UTF-8")?);
    let second = {
        let _umask = surroundings.enter();
        Runner { plan: &plan, cache: &cache, surroundings, again: true, ..*first }.run()
    };
    remove(&elsewhere)?;
    let second = second.context("the second build")?.context("the plan assembles nothing")?.file;
    let waiting = publish::waits(file);
    let found = compare::differences(&Archive::open(&waiting)?, &Archive::open(&second)?)?;
    first.progress.emit(&json!({"event": "compared", "same": found.is_empty(), "differences": found}));
    if found.is_empty() {
        first.progress.say("reproducible: both builds made the same bytes");
        return remove(&folder);
    }
    let kept = folder.join("first").join(second.file_name().unwrap_or_default());
    fs::create_dir_all(folder.join("first"))?;
    fs::copy(&waiting, &kept).with_context(|| format!("cannot write `{}`", kept.display()))?;
    bail!(
        "two builds of the same commits differ; nothing was published, compare `{}` and `{}`:\n{}",
        kept.display(),
        second.display(),
        compare::listed(&found)
    )
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    Ok(())
}

/// What the second build need not ask anybody for.
fn bring(first: &Runner<'_>, cache: &Cache) -> Result<()> {
    if first.plan.portable {
        Tools::bring(first.cache, cache)?;
    }
    let mut brought = BTreeSet::new();
    for step in &first.plan.steps {
        match step {
            Step::CheckOut { place: Place { source, .. }, .. } if brought.insert(source) => {
                let to = cache.mirror(source);
                Mirror::existing(&first.cache.mirror(source)).copy_to(&to)?;
            }
            Step::Fetch { sha256, .. } => {
                let (from, to) = (first.cache.bundles().join(sha256), cache.bundles());
                fs::create_dir_all(&to)?;
                fs::copy(&from, to.join(sha256))
                    .with_context(|| format!("cannot copy `{}`", from.display()))?;
            }
            Step::Packages(packages) => {
                fs::create_dir_all(cache.packages())?;
                for package in &packages.packages {
                    let name = format!("{}.deb", package.sha256);
                    let (from, to) = (first.cache.packages().join(&name), cache.packages().join(&name));
                    fs::copy(&from, to).with_context(|| format!("cannot copy `{}`", from.display()))?;
                }
            }
            _ => (),
        }
    }
    Ok(())
}
