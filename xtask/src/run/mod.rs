//! The executor: does the steps of a plan in order and keeps a journal of them. It decides nothing; whatever could be
//! decided stands in the step.

mod again;
mod bundle;
mod cargo;
mod os;
mod pack;
mod supply;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{
    Build, Component, Compressed, Content, Description, Digest, EntryPath, Input, PrivateKey, Toolchain,
};
use serde::Serialize;

use crate::cache::Cache;
use crate::digest::hex_of_file;
use crate::elf;
use crate::environment::Surroundings;
use crate::failure::Failure;
use crate::git::Mirror;
use crate::os::Record;
use crate::plan::{Compile, GLIBC_FLOOR, Origin, Place, Plan, RunningTree, Staged, Stamp, Step, TARGET};
use crate::progress::Progress;
use crate::refs::Resolved;
use crate::supply::{Beside, Compiler, Inventory, Linked};
use crate::tools::Tools;

use cargo::Cargo;

/// What the executor works with.
pub struct Runner<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The components that the plan was made from.
    pub components: &'a [Resolved],
    /// The running tree.
    pub toolchain: &'a RunningTree,
    /// The cache folder.
    pub cache: &'a Cache,
    /// Where it is shown.
    pub progress: &'a Progress,
    /// What signs the result.
    pub key: Option<&'a PrivateKey>,
    /// Where no connection may be opened: the command that fetches what is missing.
    pub offline: Option<&'a str>,
    /// What is around a build.
    pub surroundings: &'a Surroundings,
    /// Whether this is the second build of the same.
    pub again: bool,
}

/// A line of the journal: a step that was begun.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    state: State,
    step: &'a Step,
    did: Option<Did>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Done.
    Done,
    /// Not done; nothing after it was begun.
    Failed,
}

/// What a step found to do, which the plan cannot know: how much of it the cache already held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// What it says.
    AsPlanned,
    /// Results of the compiler, and how many of them were there before.
    Compiled {
        /// Made now.
        compiled: usize,
        /// Still good.
        fresh: usize,
    },
    /// What is linked, and whether it was looked up before.
    Listed {
        /// How many crates.
        crates: usize,
        /// Whether it was.
        cached: bool,
    },
    /// Members of the archive, and how many of them were there before.
    Compressed {
        /// All of them.
        members: usize,
        /// Taken from the cache.
        reused: usize,
    },
    /// Packages, and how many of them were there before.
    Brought {
        /// All of them.
        packages: usize,
        /// Taken from the cache.
        cached: usize,
    },
    /// A bundled file, or the build tools, which may have been there before.
    Fetched {
        /// Whether it was.
        cached: bool,
    },
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// The archive.
    pub file: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub digest: Digest,
}

/// What steps leave for later ones.
struct Work {
    stage: PathBuf,
    inputs: Vec<Input>,
    /// SHA-256 of what each input holds, where something asks for it.
    digests: BTreeMap<EntryPath, String>,
    glibc: Option<String>,
    tools: Option<Tools>,
    linked: Option<Linked>,
    inventories: BTreeMap<String, Inventory>,
    records: Vec<Record>,
    compilers: BTreeMap<String, Compiler>,
    beside: Beside,
    compressed: Option<Compressed>,
    outcome: Option<Outcome>,
}

impl Runner<'_> {
    /// Does every step, and tells of each how it ended. What comes out is what the plan assembles, if it does.
    ///
    /// # Errors
    /// Naming the step that failed. Where results go, everything is then as it was.
    pub fn run(&self) -> Result<Option<Outcome>> {
        let mut work = Work {
            stage: self.cache.stage()?,
            inputs: Vec::new(),
            digests: BTreeMap::new(),
            glibc: None,
            tools: None,
            linked: None,
            inventories: BTreeMap::new(),
            records: Vec::new(),
            compilers: BTreeMap::new(),
            beside: Beside::default(),
            compressed: None,
            outcome: None,
        };
        for (index, step) in self.plan.steps.iter().enumerate() {
            let again = if self.again { "again " } else { "" };
            let number = format!("{again}[{}/{}]", index + 1, self.plan.steps.len());
            // The steps of a second build show how far it is.
            if matches!(step, Step::Again { .. }) {
                self.progress.say(&format!("{number} {step}"));
            } else {
                self.progress.begin(&format!("{number} {step}"));
            }
            let result = self.step(step, &mut work);
            let state = if result.is_ok() { State::Done } else { State::Failed };
            self.progress
                .end(&format!("{number} {step}: {}", if result.is_ok() { "done" } else { "failed" }));
            let did = result.as_ref().ok().copied();
            self.progress.emit(&serde_json::to_value(Entry {
                event: "step",
                again: self.again,
                state,
                step,
                did,
            })?);
            result.with_context(|| format!("failed: {step}"))?;
        }
        std::fs::remove_dir_all(&work.stage)
            .with_context(|| format!("cannot remove `{}`", work.stage.display()))?;
        Ok(work.outcome)
    }

    fn step(&self, step: &Step, work: &mut Work) -> Result<Did> {
        match step {
            Step::Tools { .. } => {
                let channel = &self.toolchain.channel;
                let (tools, cached) =
                    Tools::ready(self.cache, channel, self.surroundings, self.offline, self.progress)?;
                work.tools = Some(tools);
                return Ok(Did::Fetched { cached });
            }
            Step::CheckOut { place, commit, .. } => {
                let slot = self.cache.slot(place);
                Mirror::existing(&self.cache.mirror(&place.source)).check_out(commit, &slot.checkout)?;
            }
            Step::Compile(compile) => {
                let (did, linked) = self.cargo(compile, work.tools.as_ref()).build(self.progress)?;
                work.linked = Some(linked);
                return Ok(did);
            }
            Step::Crates(compile) => {
                self.cargo(compile, None).fetch()?;
            }
            Step::CheckStamp { place, profile, bins, stamp, .. } => {
                bins.iter().try_for_each(|bin| check_stamp(&self.built(place, profile).join(bin), stamp))?;
            }
            Step::CheckLibc { place, profile, bins, glibc, .. } => {
                bins.iter().try_for_each(|bin| check_libc(&self.built(place, profile).join(bin), glibc))?;
            }
            Step::Inventory(inventory) => return self.inventory(inventory, work),
            Step::Fetch { bundle, from, sha256, .. } => {
                return bundle::fetch(
                    bundle,
                    from,
                    sha256,
                    &self.cache.bundles(),
                    self.offline,
                    self.progress,
                );
            }
            Step::Packages(packages) => return self.packages(packages),
            Step::Guest { set, section, image } => self.guest(set, section, image, work)?,
            Step::Catalogue { os, section, index, record } => {
                self.catalogue(os, section, index, record, work)?;
            }
            Step::Stage { from, section, mtime, files, .. } => {
                self.stage(from, section, *mtime, files, work)?;
            }
            Step::Describe { section, sbom, licenses } => self.describe(section, sbom, licenses, work)?,
            Step::Compress { .. } => {
                let inputs = std::mem::take(&mut work.inputs);
                let (members, jobs) = (self.cache.members(), self.surroundings.jobs);
                let compressed = pack::compress(inputs, self.plan, &members, jobs, self.progress)?;
                let (members, reused) = (compressed.members(), compressed.reused);
                work.compressed = Some(compressed);
                return Ok(Did::Compressed { members, reused });
            }
            Step::Assemble { file, .. } => {
                let compressed = work.compressed.as_ref().context("nothing was compressed")?;
                let mirror = Mirror::existing(&self.cache.mirror(&self.toolchain.source));
                let stub = mirror.show(&self.toolchain.tree, "packaging/stub.sh")?;
                let stub = stub.context("the running tree has no packaging/stub.sh")?;
                let description = self.description(work.glibc.clone());
                let assembled = pack::assemble(&stub, description, compressed, self.key, Path::new(file))?;
                work.outcome = Some(assembled);
            }
            Step::Again { file, surroundings } => again::build(self, Path::new(file), surroundings)?,
            Step::Attest { .. } => self.attest(work)?,
            Step::Verify { file } => {
                let outcome = work.outcome.as_ref().context("nothing was assembled")?;
                pack::verify(Path::new(file), outcome, self.key, &work.beside)?;
            }
        }
        Ok(Did::AsPlanned)
    }

    fn stage(
        &self,
        from: &Origin,
        section: &str,
        mtime: u64,
        files: &[Staged],
        work: &mut Work,
    ) -> Result<()> {
        let origin = match from {
            Origin::Checkout(place) => self.cache.slot(place).checkout,
            Origin::Built { place, profile } => self.built(place, profile),
            Origin::Bundle { sha256 } => self.cache.bundles().join(sha256),
            Origin::Packages => self.cache.packages(),
        };
        for file in files {
            let source = if file.from.is_empty() { origin.clone() } else { origin.join(&file.from) };
            let (to, sha256) = match from {
                // What lies under its digest stays as it is.
                Origin::Bundle { sha256 } => (source, sha256.clone()),
                Origin::Packages => (source, file.from.trim_end_matches(".deb").to_owned()),
                // Another commit of the same source comes there next.
                Origin::Checkout(_) | Origin::Built { .. } => {
                    let to = file.to.below(&work.stage);
                    copy(&source, &to)?;
                    let sha256 = hex_of_file(&to)?;
                    (to, sha256)
                }
            };
            work.digests.insert(file.to.clone(), sha256);
            if matches!(from, Origin::Built { .. }) {
                work.glibc = elf::later(work.glibc.take(), elf::glibc(&to)?);
            }
            work.inputs.push(Input {
                path: file.to.clone(),
                section: section.to_owned(),
                mode: file.mode,
                mtime,
                content: Content::File(to),
            });
        }
        Ok(())
    }

    fn cargo<'b>(&'b self, compile: &'b Compile, tools: Option<&'b Tools>) -> Cargo<'b> {
        let slot = self.cache.slot(&compile.place);
        Cargo { compile, slot, tools, surroundings: self.surroundings, offline: self.offline }
    }

    fn built(&self, place: &Place, profile: &str) -> PathBuf {
        let slot = self.cache.slot(place);
        let target = if self.plan.portable { slot.portable } else { slot.target };
        target.join(TARGET).join(profile)
    }

    /// `glibc` is the newest version that a program asks for.
    fn description(&self, glibc: Option<String>) -> Description {
        let promised = glibc.map(|asked| if self.plan.portable { GLIBC_FLOOR.to_owned() } else { asked });
        let components = self.components.iter().map(|component| {
            let described = Component {
                kind: component.recipe.kind.map_or("", crate::buildfile::Kind::name).to_owned(),
                reference: component.reference.clone(),
                commit: component.commit.clone(),
                dirty: component.dirty,
                recipe: component.origin,
                version: component.version.clone(),
            };
            (component.name.clone(), described)
        });
        Description {
            product: self.plan.product.clone(),
            version: self.plan.version.to_string(),
            created: self.plan.created,
            toolchain: Toolchain { commit: self.toolchain.commit.clone(), dirty: self.toolchain.dirty },
            build: Build { target: TARGET.to_owned(), native: !self.plan.portable, glibc: promised },
            components: components.collect(),
        }
    }
}

fn check_stamp(program: &Path, expected: &Stamp) -> Result<()> {
    let found = elf::stamp(program)?;
    if found != *expected {
        let sentence = format!(
            "`{}` says {} {}, but {} {} was asked for; remove its target folder and build again",
            program.display(),
            found.reference,
            found.commit,
            expected.reference,
            expected.commit
        );
        return Err(Failure::damaged(sentence));
    }
    Ok(())
}

/// That a program runs where the C library is no newer than this, and says what it is made of.
fn check_libc(program: &Path, glibc: &str) -> Result<()> {
    let beyond = elf::beyond(program, glibc)?;
    if !beyond.is_empty() {
        bail!(
            "`{}` has to run with glibc {glibc} alone, but needs {}; build with --native, or do without what needs it",
            program.display(),
            beyond.join(", ")
        );
    }
    if !elf::lists_crates(program)? {
        bail!("`{}` does not list its crates; remove its target folder and build again", program.display());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::copy(from, to).map(|_| ())
    };
    copy().with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))
}
