//! What is linked, what is inside, how it was made: looked at while it is there, and written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use packaging_archive::{Content, EntryPath, Input, Mode};
use serde::Serialize;
use serde_json::json;

use super::{Did, Runner, Work, cargo};
use crate::cache::used;
use crate::digest::hex_of;
use crate::environment::Surroundings;
use crate::plan::{self, BUNDLE_TIME, Libc, Origin, Step};
use crate::supply::{self, Compiler, Crate, From, Inventory};

/// To be raised whenever an inventory is taken in another way.
const GENERATION: u32 = 1;

/// Where Debian keeps the licence of its C library.
const GLIBC_LICENSE: &str = "/usr/share/common-licenses/LGPL-2.1";

impl Runner<'_> {
    /// Takes the inventory of what was just compiled, or finds it in the cache: the same tree, crates, features and compiler
    /// have the same.
    pub(super) fn inventory(&self, step: &plan::Inventory, work: &mut Work) -> Result<Did> {
        let linked = work.linked.take().context("nothing was compiled")?;
        let compiler = match work.compilers.values().find(|compiler| compiler.channel == step.channel) {
            Some(known) => known.clone(),
            None => cargo::compiler(&step.channel, self.surroundings)?,
        };
        let below = match (step.libc, &work.tools) {
            (Libc::Static, _) => vec![c_library(self.surroundings)?],
            (Libc::Portable, Some(tools)) => tools.linked().map(Library::of).to_vec(),
            (Libc::Portable | Libc::Native, _) => Vec::new(),
        };
        let key = json!([GENERATION, step.tree, step.package, linked.crates, compiler.rustc, below]);
        let key = hex_of(key.to_string());
        let kept = self.cache.inventories().join(format!("{key}.json"));
        let (inventory, cached) = match read(&kept) {
            Some(inventory) => {
                used(kept);
                (inventory, true)
            }
            None => {
                let checkout = self.cache.slot(&step.place).checkout;
                let lock =
                    fs::read_to_string(checkout.join("Cargo.lock")).context("cannot read the lock file")?;
                let mut inventory = supply::take(&linked, &lock, &checkout)?;
                add_std(&mut inventory, &compiler)?;
                below.into_iter().try_for_each(|library| add(&mut inventory, library))?;
                write(&kept, &inventory)?;
                (inventory, false)
            }
        };
        let crates = inventory.crates.len();
        work.compilers.insert(step.component.clone(), compiler);
        work.inventories.insert(step.component.clone(), inventory);
        Ok(Did::Listed { crates, cached })
    }

    /// Stages the licence texts, and then the list of all that is staged.
    pub(super) fn describe(
        &self,
        section: &str,
        sbom: &EntryPath,
        licenses: &EntryPath,
        work: &mut Work,
    ) -> Result<()> {
        let texts = supply::third_party(&self.plan.product, &work.inventories, &self.bundles());
        // They have no commit either: what changes no text changes no byte of its member.
        stage(work, licenses, section, BUNDLE_TIME, texts.into_bytes());
        let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (component, to) in self.staged() {
            let sha256 = work.digests.get(to).with_context(|| format!("`{to}` was not staged"))?;
            files.entry(component.to_owned()).or_default().insert(to.to_string(), sha256.clone());
        }
        let sbom_bytes = supply::sbom(&supply::Described {
            plan: self.plan,
            components: self.components,
            toolchain: self.toolchain,
            inventories: &work.inventories,
            records: &work.records,
            files: &files,
        })?;
        work.beside.sbom = Some(sbom_bytes.clone());
        stage(work, sbom, section, self.plan.created, sbom_bytes);
        Ok(())
    }

    /// States how the assembled file was made.
    pub(super) fn attest(&self, work: &mut Work) -> Result<()> {
        let outcome = work.outcome.as_ref().context("nothing was assembled")?;
        let statement = supply::statement(&supply::Built {
            plan: self.plan,
            components: self.components,
            toolchain: self.toolchain,
            inventories: &work.inventories,
            records: &work.records,
            compilers: &work.compilers,
            name: &self.plan.file_name(),
            digest: &outcome.digest,
            sbom: work.beside.sbom.as_deref().context("nothing was described")?,
        })?;
        work.beside.provenance = Some(statement);
        Ok(())
    }

    /// Who brings which file, as it was planned.
    fn staged(&self) -> impl Iterator<Item = (&str, &EntryPath)> {
        self.plan.steps.iter().flat_map(|step| {
            let (component, files) = match step {
                Step::Stage { component, files, .. } => {
                    (component, files.iter().map(|file| &file.to).collect())
                }
                Step::Guest { set, image, .. } => (set, vec![image]),
                Step::Catalogue { os, index, record, .. } => (os, vec![index, record]),
                _ => return Vec::new(),
            };
            files.into_iter().map(|to| (component.as_str(), to)).collect()
        })
    }

    /// Paths and licences of bundled files.
    fn bundles(&self) -> Vec<(String, Option<String>)> {
        let mut bundles = Vec::new();
        for step in &self.plan.steps {
            let Step::Fetch { bundle, license, .. } = step else { continue };
            let own = |step: &&Step| matches!(step, Step::Stage { component, from: Origin::Bundle { .. }, .. } if component == bundle);
            if let Some(Step::Stage { files, .. }) = self.plan.steps.iter().find(own) {
                bundles.extend(files.iter().map(|file| (file.to.to_string(), license.clone())));
            }
        }
        bundles
    }
}

pub(super) fn stage(work: &mut Work, path: &EntryPath, section: &str, mtime: u64, bytes: Vec<u8>) {
    work.digests.insert(path.clone(), hex_of(&bytes));
    let (path, section, content) = (path.clone(), section.to_owned(), Content::Bytes(bytes));
    work.inputs.push(Input { path, section, mode: Mode::File, mtime, content });
}

/// A library that the package whose programs are built stands on without naming it.
#[derive(Clone, Debug, Serialize)]
struct Library {
    name: &'static str,
    version: String,
    license: &'static str,
    /// Files with the text of the licence. Where they lie makes no other library.
    #[serde(skip)]
    texts: Vec<PathBuf>,
}

impl Library {
    fn of((name, version, license, text): (&'static str, &'static str, &'static str, PathBuf)) -> Self {
        Self { name, version: version.to_owned(), license, texts: vec![text] }
    }
}

/// The standard library is linked into every program, and is no package that cargo would name.
fn add_std(inventory: &mut Inventory, compiler: &Compiler) -> Result<()> {
    let folder = compiler.folder.join("share/doc/rust/licenses");
    let texts = ["Apache-2.0.txt", "MIT.txt"].map(|name| folder.join(name)).to_vec();
    let (version, license) = (compiler.release.clone(), "MIT OR Apache-2.0");
    add(inventory, Library { name: "rust-std", version, license, texts })
}

fn add(inventory: &mut Inventory, library: Library) -> Result<()> {
    let Library { name, version, license, texts: files } = library;
    let id = format!("{name}@{version}");
    let mut texts = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = supply::text(file)?;
        let digest = hex_of(&text);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        texts.push((name, digest.clone()));
        inventory.texts.insert(digest, text);
    }
    let dependencies = BTreeSet::new();
    let (name, from, license) = (name.to_owned(), From::Toolchain, Some(license.to_owned()));
    let found = Crate { name, version, from, sha256: None, license, texts, dependencies };
    inventory.crates.insert(id.clone(), found);
    if let Some(root) = inventory.crates.get_mut(&inventory.root) {
        root.dependencies.insert(id);
    }
    Ok(())
}

/// This machine's C library, which is linked into a static program.
fn c_library(surroundings: &Surroundings) -> Result<Library> {
    let mut command = Command::new("getconf");
    surroundings.restrict(&mut command);
    let output = command.arg("GNU_LIBC_VERSION").stdin(Stdio::null()).output();
    let output = output.context("cannot run `getconf`, which knows the C library's version")?;
    let said = String::from_utf8(output.stdout)?;
    let version = said.trim().strip_prefix("glibc ").context("getconf knows no version of a C library")?;
    let (version, texts) = (version.to_owned(), vec![PathBuf::from(GLIBC_LICENSE)]);
    Ok(Library { name: "glibc", version, license: "LGPL-2.1-or-later", texts })
}

/// What was kept, if it is what was written.
fn read(path: &Path) -> Option<Inventory> {
    let text = fs::read_to_string(path).ok()?;
    let (digest, json) = text.split_once('\n')?;
    (hex_of(json) == digest).then(|| serde_json::from_str(json).ok()).flatten()
}

fn write(path: &Path, inventory: &Inventory) -> Result<()> {
    let json = serde_json::to_string(inventory)?;
    let write = || -> std::io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let new = path.with_extension("new");
        fs::write(&new, format!("{}\n{json}", hex_of(&json)))?;
        fs::rename(new, path)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
