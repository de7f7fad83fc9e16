//! The steps, as types and as sentences for people.

use std::collections::BTreeMap;
use std::fmt;

use packaging_archive::{EntryPath, Mode};
use serde::Serialize;

use super::GLIBC_FLOOR;
use crate::environment::Surroundings;
use crate::os::Package;
use crate::tools::Tool;

/// One step. [`crate::run`] matches on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The compiler and what calls it for programs that are to run on other machines, into the cache.
    Tools { tools: Vec<Tool> },
    /// The files of a commit into the source's slot.
    CheckOut {
        #[serde(flatten)]
        place: Place,
        commit: String,
        components: Vec<String>,
    },
    /// One call of cargo.
    Compile(Compile),
    /// The crates of a lock file into cargo's home, for a build without a network.
    Crates(Compile),
    /// What the programs say of themselves, read from their files.
    CheckStamp {
        component: String,
        #[serde(flatten)]
        place: Place,
        profile: String,
        bins: Vec<String>,
        stamp: Stamp,
    },
    /// What the programs ask of a host's libraries, read from their files, is what hosts have from this C library on.
    CheckLibc {
        component: String,
        #[serde(flatten)]
        place: Place,
        profile: String,
        bins: Vec<String>,
        glibc: String,
    },
    /// What is linked into the programs that were just compiled, and its licence texts.
    Inventory(Inventory),
    /// A bundled file into the cache, and its digest compared.
    Fetch { bundle: String, from: String, sha256: String, license: Option<String> },
    /// Packages of an operating system into the cache, and their digests compared.
    Packages(Packages),
    /// Files to where the archive is put together, with the time that they have there.
    Stage { component: String, from: Origin, section: String, mtime: u64, files: Vec<Staged> },
    /// The index and the record of an operating system's packages, staged like other files.
    Catalogue { os: String, section: String, index: EntryPath, record: EntryPath },
    /// The guest image of the packages of a set, staged like other files.
    Guest { set: String, section: String, image: EntryPath },
    /// The list of parts and the licence texts, staged like other files.
    Describe { section: String, sbom: EntryPath, licenses: EntryPath },
    /// Staged files to gzip members.
    Compress { sections: Vec<String> },
    /// Stub, manifest and members to one file, signed by the key with this fingerprint, if by any.
    Assemble { file: String, signer: Option<String> },
    /// Everything a second time, from nothing and in other surroundings, and the two files compared.
    Again { file: String, surroundings: Surroundings },
    /// The statement of how the file was made.
    Attest { file: String },
    /// The file read back, and run once.
    Verify { file: String },
}

/// A slot: where files of a source lie, and what cargo makes of them. A source has one for each use, because a release takes
/// the toolchain, programs and files from several commits of it as a rule: in one slot each would replace the others' files,
/// and cargo would compile them again in every build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The source.
    pub source: String,
    /// What is taken from it.
    pub lane: Lane,
}

/// What is taken from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Stub, scripts and helper.
    Toolchain,
    /// Components that cargo builds, with their files. They are together, so that what they depend on is compiled once.
    Programs,
    /// Components that are files alone.
    Files,
}

/// A call of cargo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compile {
    /// For which component.
    pub component: String,
    /// In which slot.
    #[serde(flatten)]
    pub place: Place,
    /// The package.
    pub package: String,
    /// Its programs.
    pub bins: Vec<String>,
    /// Its features.
    pub features: Vec<String>,
    /// The cargo profile.
    pub profile: String,
    /// The C library of its programs.
    pub libc: Libc,
    /// The rustup toolchain.
    pub channel: String,
    /// What the programs will say of themselves.
    pub stamp: Stamp,
}

/// A look at what a call of cargo has linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// For which component.
    pub component: String,
    /// In which slot.
    #[serde(flatten)]
    pub place: Place,
    /// The commit that is checked out there.
    pub tree: String,
    /// The package.
    pub package: String,
    /// The C library of its programs.
    pub libc: Libc,
    /// The rustup toolchain.
    pub channel: String,
}

/// Packages of an operating system, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packages {
    /// The operating system and its release.
    pub os: String,
    /// The release as its mirrors call it.
    pub suite: String,
    /// The architecture of hosts.
    pub architecture: String,
    /// Whether a lock says which versions these are; else they are those of the day.
    pub locked: bool,
    /// What hosts are given, by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Every package.
    pub packages: Vec<Package>,
}

impl Packages {
    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

/// Which C library programs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// One at least as new as this machine's.
    Native,
    /// Any from [`GLIBC_FLOOR`] on.
    Portable,
    /// None: it is linked in.
    Static,
}

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// Whether the tree had changes.
    pub dirty: bool,
}

/// Where staged files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The checkout in a slot.
    Checkout(Place),
    /// What cargo built in a slot, with this profile.
    Built {
        #[serde(flatten)]
        place: Place,
        profile: String,
    },
    /// A bundled file in the cache.
    Bundle { sha256: String },
    /// Packages of an operating system in the cache.
    Packages,
}

/// A file on its way to the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Staged {
    /// Path below the origin.
    pub from: String,
    /// Path in the archive.
    pub to: EntryPath,
    /// Its permissions there.
    pub mode: Mode,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tools { tools } => {
                let names: Vec<String> = tools.iter().map(ToString::to_string).collect();
                write!(f, "make ready {}", names.join(", "))
            }
            Self::CheckOut { place, commit, components } => {
                write!(f, "check out {} of {} for {}", short(commit), place.source, components.join(", "))
            }
            Self::Compile(compile) => {
                write!(
                    f,
                    "compile {} ({}, profile {}, {}, toolchain {})",
                    compile.component,
                    compile.bins.join(", "),
                    compile.profile,
                    compile.libc,
                    compile.channel
                )
            }
            Self::Crates(compile) => {
                write!(f, "fetch the crates of {} (toolchain {})", compile.component, compile.channel)
            }
            Self::CheckStamp { component, stamp, .. } => {
                write!(f, "check that {component} says {} {}", stamp.reference, short(&stamp.commit))
            }
            Self::CheckLibc { component, glibc, .. } => {
                write!(f, "check that {component} runs with glibc {glibc}")
            }
            Self::Inventory(inventory) => write!(f, "list what is linked into {}", inventory.component),
            Self::Fetch { bundle, from, .. } => write!(f, "fetch {bundle} from {from}"),
            Self::Packages(packages) => {
                let versions = if packages.locked { "as its lock has them" } else { "versions of the day" };
                let (number, megabytes) = (packages.packages.len(), packages.size().div_ceil(1_000_000));
                write!(
                    f,
                    "fetch {} of {}, {versions} ({megabytes} MB)",
                    count(number, "package"),
                    packages.os
                )
            }
            Self::Guest { set, image, .. } => write!(f, "make the guest image {image} of {set}"),
            Self::Catalogue { os, index, record, .. } => {
                write!(f, "list the packages of {os} in {index} and {record}")
            }
            Self::Stage { component, section, files, .. } => {
                write!(f, "stage {} of {component} in section {section}", count(files.len(), "file"))
            }
            Self::Describe { sbom, licenses, .. } => {
                write!(f, "describe what is inside in {sbom} and {licenses}")
            }
            Self::Compress { sections } => write!(f, "compress {}", count(sections.len(), "section")),
            Self::Assemble { file, signer: None } => write!(f, "assemble {file}, unsigned"),
            Self::Assemble { file, signer: Some(signer) } => write!(f, "assemble {file}, signed by {signer}"),
            Self::Again { file, surroundings } => {
                write!(f, "build {file} again from nothing ({surroundings}) and compare")
            }
            Self::Attest { file } => write!(f, "state how {file} was made"),
            Self::Verify { file } => write!(f, "verify {file}"),
        }
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Portable => write!(f, "glibc {GLIBC_FLOOR}"),
            Self::Static => f.write_str("static"),
        }
    }
}

/// The first digits of a commit, for people.
pub fn short(commit: &str) -> &str {
    &commit[..commit.len().min(12)]
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
