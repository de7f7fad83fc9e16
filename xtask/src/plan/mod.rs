//! From exact commits to typed steps: a pure function, so that the plan can be printed, tested and trusted. Nothing that
//! could be decided here is decided while running.

mod carry;
mod doubles;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::Result;
use packaging_archive::{EntryPath, HELPER, Mode, OS_SECTION};
use serde::Serialize;

use crate::buildfile::{BuildFile, Bundle, Kind};
use crate::environment::Surroundings;
use crate::failure::Failure;
use crate::refs::{Resolved, WORKTREE};
use crate::supply::{LICENSES, SBOM};
use crate::tools::{self, Tool};
use crate::version::Version;

pub use step::{Compile, Inventory, Lane, Libc, Origin, Packages, Place, Staged, Stamp, Step, short};

/// The name of the component that every package has: the stub, the scripts and the helper, from the running tree.
pub const TOOLCHAIN: &str = "toolchain";

/// The section of what every host needs.
pub const CORE: &str = "core";

/// The machine that is built for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The oldest C library that portable programs run with: that of RHEL 7, and the oldest that Rust's standard library takes.
pub const GLIBC_FLOOR: &str = "2.17";

/// The cargo profile of components.
const PROFILE: &str = "release";

/// The cargo profile of the helper.
const HELPER_PROFILE: &str = "helper";

/// The time of bundled files, seconds since 1970: the first second of 1980. They have no commit, and a time that moved would
/// have them compressed anew.
pub const BUNDLE_TIME: u64 = 315_532_800;

/// The machine's name in the file's name.
const ARCHITECTURE: &str = "x86_64";

/// What the plan is made from.
pub struct Inputs<'a> {
    /// The manifest.
    pub file: &'a BuildFile,
    /// Every component, exactly.
    pub components: &'a [Resolved],
    /// The running tree.
    pub toolchain: &'a RunningTree,
    /// Packages of operating systems that are carried along.
    pub os: &'a [Packages],
    /// `--version`.
    pub version: Option<&'a Version>,
    /// `--name`.
    pub name: Option<&'a str>,
    /// Whether programs are to run on machines with an older C library than this one's.
    pub portable: bool,
    /// SHA-256 of the manifest.
    pub manifest_sha256: &'a str,
    /// Where bundled files with a path lie.
    pub manifest_folder: &'a str,
    /// Where the result goes.
    pub out: &'a str,
    /// The fingerprint of the key that signs it.
    pub signer: Option<String>,
    /// The surroundings of a second build, if there is to be one.
    pub again: Option<Surroundings>,
}

/// The tree that this program was built from.
#[derive(Clone, Debug)]
pub struct RunningTree {
    /// Its path.
    pub source: String,
    /// The commit that it stands on.
    pub commit: String,
    /// The commit that is checked out.
    pub tree: String,
    /// Whether the two differ.
    pub dirty: bool,
    /// Its toolchain, also for components that name none.
    pub channel: String,
    /// When the commit was made, seconds since 1970.
    pub time: u64,
}

/// What will be done, all of it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The product.
    pub product: String,
    /// Its version, with what `--name` and differing pins add.
    pub version: Version,
    /// Whether its programs run on machines with an older C library than this one's.
    pub portable: bool,
    /// What was asked for.
    pub asked: Asked,
    /// The newest commit's time, seconds since 1970.
    pub created: u64,
    /// Sections in the order of the file, and the roles that need them.
    pub sections: Vec<(String, Vec<String>)>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// What was asked for, as the file's provenance repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// `--version`.
    pub version: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--os`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// SHA-256 of the manifest.
    pub manifest: String,
}

impl Plan {
    /// The file's name.
    pub fn file_name(&self) -> String {
        format!("{}-all-in-one-{}-{ARCHITECTURE}.run", self.product, self.version)
    }

    /// Which machines its programs are for, in the word of the option that asks for it.
    pub fn kind(&self) -> &'static str {
        if self.portable { "portable" } else { "native" }
    }

    /// The tools that build it, besides compilers and cargo.
    pub fn tools(&self) -> impl Iterator<Item = Tool> {
        let of = |step: &Step| if let Step::Tools { tools } = step { tools.clone() } else { Vec::new() };
        self.steps.iter().flat_map(of)
    }

    /// What has to be on this machine before the rest of the plan can do without a network.
    pub fn fetching(&self) -> Self {
        let mut plan = Self { steps: Vec::new(), ..self.clone() };
        // Components of one commit share a lock file; toolchains are fetched too, and may differ.
        let mut here = BTreeSet::new();
        for step in &self.steps {
            match step {
                Step::CheckOut { .. } => {
                    here.clear();
                    plan.steps.push(step.clone());
                }
                Step::Compile(compile) if here.insert(&compile.channel) => {
                    plan.steps.push(Step::Crates(compile.clone()));
                }
                Step::Fetch { .. } | Step::Tools { .. } | Step::Packages(_) => plan.steps.push(step.clone()),
                Step::Compile(_)
                | Step::Crates(_)
                | Step::CheckStamp { .. }
                | Step::CheckLibc { .. }
                | Step::Inventory(_)
                | Step::Stage { .. }
                | Step::Catalogue { .. }
                | Step::Guest { .. }
                | Step::Describe { .. }
                | Step::Compress { .. }
                | Step::Assemble { .. }
                | Step::Again { .. }
                | Step::Attest { .. }
                | Step::Verify { .. } => (),
            }
        }
        plan
    }

    /// The same without a second build, for another folder.
    pub fn for_folder(&self, out: &str) -> Self {
        let to = format!("{}/{}", out.trim_end_matches('/'), self.file_name());
        let mut plan = self.clone();
        plan.steps.retain(|step| !matches!(step, Step::Again { .. }));
        for step in &mut plan.steps {
            if let Step::Assemble { file, .. } | Step::Attest { file } | Step::Verify { file } = step {
                file.clone_from(&to);
            }
        }
        plan
    }
}

/// Makes the plan.
///
/// # Errors
/// If two files would have one name in the archive, or a version does not fit.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan> {
    let mut plan = Plan {
        product: inputs.file.archive.product.clone(),
        version: version(inputs)?,
        portable: inputs.portable,
        asked: Asked {
            version: inputs.version.map(ToString::to_string),
            name: inputs.name.map(str::to_owned),
            os: inputs.os.iter().map(|packages| packages.os.clone()).collect(),
            manifest: inputs.manifest_sha256.to_owned(),
        },
        created: inputs.components.iter().map(|component| component.time).max().unwrap_or_default(),
        sections: sections(inputs.file, inputs.os)?,
        steps: Vec::new(),
    };
    if inputs.portable {
        plan.steps.push(Step::Tools { tools: tools::PINNED.to_vec() });
    }
    for (name, bundle) in &inputs.file.bundles {
        plan.steps.push(fetch(name, bundle, inputs.manifest_folder));
    }
    plan.steps.extend(inputs.os.iter().cloned().map(Step::Packages));
    build_toolchain(inputs, &mut plan.steps)?;
    // What lies in one slot is built by commit, so that it is checked out as seldom as can be.
    let mut order: Vec<&Resolved> = inputs.components.iter().collect();
    let place = |component: &Resolved| {
        let lane = if component.recipe.kind == Some(Kind::Cargo) { Lane::Programs } else { Lane::Files };
        Place { source: component.source.clone(), lane }
    };
    order.sort_by_key(|component| (place(component), &component.tree, &component.name));
    let mut checked_out = None;
    for (index, component) in order.iter().enumerate() {
        let here = (place(component), component.tree.as_str());
        if checked_out.as_ref() != Some(&here) {
            let together =
                order[index..].iter().take_while(|other| (place(other), other.tree.as_str()) == here);
            plan.steps.push(Step::CheckOut {
                place: here.0.clone(),
                commit: component.tree.clone(),
                components: together.map(|other| other.name.clone()).collect(),
            });
            checked_out = Some(here);
        }
        build(component, &place(component), inputs, &mut plan.steps)?;
    }
    for (name, bundle) in &inputs.file.bundles {
        plan.steps.push(Step::Stage {
            component: name.clone(),
            from: Origin::Bundle { sha256: bundle.sha256.to_ascii_lowercase() },
            section: bundle.section.clone().unwrap_or_else(|| name.clone()),
            mtime: BUNDLE_TIME,
            files: vec![staged("", &bundle.to, bundle.executable)?],
        });
    }
    for packages in inputs.os {
        plan.steps.extend(carry::steps(packages)?);
    }
    plan.steps.push(Step::Describe {
        section: CORE.into(),
        sbom: EntryPath::new(SBOM).map_err(Failure::usage)?,
        licenses: EntryPath::new(LICENSES).map_err(Failure::usage)?,
    });
    doubles::refuse(&plan.steps)?;
    let file = format!("{}/{}", inputs.out.trim_end_matches('/'), plan.file_name());
    plan.steps
        .push(Step::Compress { sections: plan.sections.iter().map(|(name, _)| name.clone()).collect() });
    plan.steps.push(Step::Assemble { file: file.clone(), signer: inputs.signer.clone() });
    if let Some(surroundings) = inputs.again.clone() {
        plan.steps.push(Step::Again { file: file.clone(), surroundings });
    }
    plan.steps.push(Step::Attest { file: file.clone() });
    plan.steps.push(Step::Verify { file });
    Ok(plan)
}

/// The version that the file is named after: it says what differs from the release, and what is not committed.
fn version(inputs: &Inputs<'_>) -> Result<Version> {
    let mut version = match inputs.version {
        Some(version) => version.clone(),
        None => {
            let commit = &inputs.toolchain.commit;
            let dirty = inputs.toolchain.dirty || inputs.components.iter().any(|component| component.dirty);
            let suffix =
                format!("-dev.{}{}", &commit[..commit.len().min(8)], if dirty { ".dirty" } else { "" });
            inputs.file.archive.version.with(&suffix).map_err(Failure::usage)?
        }
    };
    for component in inputs.components {
        let unlike_the_rest = inputs.version.is_none() && component.reference != WORKTREE;
        if component.differs_from_pin || unlike_the_rest {
            let suffix = format!("+{}.{}", component.name, component.reference);
            version = version.with(&suffix).map_err(Failure::usage)?;
        }
    }
    if let Some(name) = inputs.name {
        name.parse::<Version>().map_err(|_| {
            Failure::usage(format!(
                "`{name}` cannot be part of a version; use letters, digits and `.+_-` for --name"
            ))
        })?;
        version = version.with(&format!("-{name}")).map_err(Failure::usage)?;
    }
    Ok(version)
}

fn sections(file: &BuildFile, os: &[Packages]) -> Result<Vec<(String, Vec<String>)>> {
    let mut sections = vec![(CORE.to_owned(), Vec::new())];
    let components = file.components.iter().map(|(name, c)| (c.section.as_ref().unwrap_or(name), &c.roles));
    let bundles = file.bundles.iter().map(|(name, b)| (b.section.as_ref().unwrap_or(name), &b.roles));
    for (section, roles) in components.chain(bundles) {
        if section.starts_with(OS_SECTION) {
            let sentence = format!(
                "section `{section}` is called as those of operating systems' packages are; choose a name without `{OS_SECTION}`"
            );
            return Err(Failure::usage(sentence));
        }
        match sections.iter().find(|(name, _)| name == section) {
            None => sections.push((section.clone(), roles.clone())),
            Some((_, known)) if known == roles => (),
            Some(_) => {
                let sentence = format!(
                    "section `{section}` is given different roles; name them alike, or use two sections"
                );
                return Err(Failure::usage(sentence));
            }
        }
    }
    for packages in os {
        if file.components.contains_key(&packages.os) || file.bundles.contains_key(&packages.os) {
            let sentence =
                format!("`{}` is what the packages of --os are called; rename the component", packages.os);
            return Err(Failure::usage(sentence));
        }
        sections.push(carry::section(packages));
    }
    Ok(sections)
}

fn fetch(name: &str, bundle: &Bundle, manifest_folder: &str) -> Step {
    let from = match (&bundle.path, &bundle.url) {
        (Some(path), _) if path.starts_with('/') => path.clone(),
        (Some(path), _) => format!("{manifest_folder}/{path}"),
        (None, url) => url.clone().unwrap_or_default(),
    };
    Step::Fetch {
        bundle: name.to_owned(),
        from,
        sha256: bundle.sha256.to_ascii_lowercase(),
        license: bundle.license.clone(),
    }
}

/// The helper and the scripts: always of the running tree, because the reader must match the writer.
fn build_toolchain(inputs: &Inputs<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let tree = inputs.toolchain;
    let stamp = Stamp { reference: WORKTREE.into(), commit: tree.commit.clone(), dirty: tree.dirty };
    let place = Place { source: tree.source.clone(), lane: Lane::Toolchain };
    steps.push(Step::CheckOut {
        place: place.clone(),
        commit: tree.tree.clone(),
        components: vec![TOOLCHAIN.to_owned()],
    });
    let bins = vec!["cairnctl".to_owned()];
    let compile = Compile {
        component: TOOLCHAIN.into(),
        place: place.clone(),
        package: "cairnctl".into(),
        bins: bins.clone(),
        features: Vec::new(),
        profile: HELPER_PROFILE.into(),
        libc: Libc::Static,
        channel: tree.channel.clone(),
        stamp: stamp.clone(),
    };
    let inventory = inventory(&compile, &tree.tree);
    steps.push(Step::Compile(compile));
    steps.push(Step::CheckStamp {
        component: TOOLCHAIN.into(),
        place: place.clone(),
        profile: HELPER_PROFILE.into(),
        bins,
        stamp,
    });
    steps.push(inventory);
    steps.push(Step::Stage {
        component: TOOLCHAIN.into(),
        from: Origin::Built { place: place.clone(), profile: HELPER_PROFILE.into() },
        section: CORE.into(),
        mtime: tree.time,
        files: vec![staged("cairnctl", HELPER, true)?],
    });
    let scripts = ["install.sh", "uninstall.sh"].map(|name| staged(&format!("packaging/{name}"), name, true));
    steps.push(Step::Stage {
        component: TOOLCHAIN.into(),
        from: Origin::Checkout(place),
        section: CORE.into(),
        mtime: tree.time,
        files: scripts.into_iter().collect::<Result<_>>()?,
    });
    Ok(())
}

fn build(component: &Resolved, place: &Place, inputs: &Inputs<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let (recipe, layout) = (&component.recipe, &inputs.file.archive.layout);
    let section =
        inputs.file.component(&component.name)?.section.clone().unwrap_or_else(|| component.name.clone());
    match recipe.kind {
        Some(Kind::Cargo) => {
            if recipe.bins.is_empty() {
                let sentence =
                    format!("component `{}` builds no program; add `bins` to its recipe", component.name);
                return Err(Failure::usage(sentence));
            }
            let stamp = Stamp {
                reference: component.reference.clone(),
                commit: component.commit.clone(),
                dirty: component.dirty,
            };
            let compile = Compile {
                component: component.name.clone(),
                place: place.clone(),
                package: recipe.package.clone().unwrap_or_else(|| component.name.clone()),
                bins: recipe.bins.clone(),
                features: recipe.features.clone(),
                profile: PROFILE.into(),
                libc: if inputs.portable { Libc::Portable } else { Libc::Native },
                channel: component.toolchain.clone().unwrap_or_else(|| inputs.toolchain.channel.clone()),
                stamp: stamp.clone(),
            };
            let inventory = inventory(&compile, &component.tree);
            steps.push(Step::Compile(compile));
            if inputs.portable {
                steps.push(Step::CheckLibc {
                    component: component.name.clone(),
                    place: place.clone(),
                    profile: PROFILE.into(),
                    bins: recipe.bins.clone(),
                    glibc: GLIBC_FLOOR.into(),
                });
            }
            if recipe.stamp {
                steps.push(Step::CheckStamp {
                    component: component.name.clone(),
                    place: place.clone(),
                    profile: PROFILE.into(),
                    bins: recipe.bins.clone(),
                    stamp,
                });
            }
            steps.push(inventory);
            let bins = recipe.bins.iter().map(|bin| staged(bin, &format!("{}/{bin}", layout.bins), true));
            steps.push(Step::Stage {
                component: component.name.clone(),
                from: Origin::Built { place: place.clone(), profile: PROFILE.into() },
                section: section.clone(),
                mtime: component.time,
                files: bins.collect::<Result<_>>()?,
            });
        }
        Some(Kind::Static) if recipe.bins.is_empty() => (),
        Some(Kind::Static) | None => {
            let sentence =
                format!("component `{}` is static and names `bins`; write kind = \"cargo\"", component.name);
            return Err(Failure::usage(sentence));
        }
    }
    if !component.files.is_empty() {
        let files = component.files.iter().map(|file| staged(&file.from, &file.to, file.executable));
        steps.push(Step::Stage {
            component: component.name.clone(),
            from: Origin::Checkout(place.clone()),
            section,
            mtime: component.time,
            files: files.collect::<Result<_>>()?,
        });
    }
    Ok(())
}

fn inventory(compile: &Compile, tree: &str) -> Step {
    Step::Inventory(Inventory {
        component: compile.component.clone(),
        place: compile.place.clone(),
        tree: tree.to_owned(),
        package: compile.package.clone(),
        libc: compile.libc,
        channel: compile.channel.clone(),
    })
}

fn staged(from: &str, to: &str, executable: bool) -> Result<Staged> {
    let to = EntryPath::new(to).map_err(Failure::usage)?;
    Ok(Staged { from: from.to_owned(), to, mode: if executable { Mode::Executable } else { Mode::File } })
}
