//! How a packed file was made, in the words of in-toto (Statement, version 1) and SLSA (provenance, version 1). What its
//! `buildType` means stands in ARCHITECTURE.md.

use std::collections::BTreeMap;

use anyhow::Result;
use packaging_archive::{Digest, hex};
use serde::Serialize;

use super::inventory::Inventory;
use super::place::{Compiler, commit_uri, public, purl_of_deb};
use crate::digest::hex_of;
use crate::os::Record;
use crate::plan::{GLIBC_FLOOR, Plan, RunningTree, Step, TARGET, TOOLCHAIN};
use crate::refs::Resolved;

/// What kind of statement it is, and what kind of build it speaks of. The number is raised when an old reader would get a
/// parameter wrong.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TYPE: &str = "urn:cairn:all-in-one:1";
const BUILDER: &str = "urn:cairn:xtask";

/// What is known when the file is there.
pub struct Built<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Every component, exactly.
    pub components: &'a [Resolved],
    /// The running tree.
    pub toolchain: &'a RunningTree,
    /// What is linked, by component.
    pub inventories: &'a BTreeMap<String, Inventory>,
    /// Packages of operating systems.
    pub records: &'a [Record],
    /// What compiled it, by component.
    pub compilers: &'a BTreeMap<String, Compiler>,
    /// The file's name.
    pub name: &'a str,
    /// Its SHA-256.
    pub digest: &'a Digest,
    /// The list of parts that lies beside it.
    pub sbom: &'a [u8],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource>,
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: Definition<'a>,
    run_details: Details,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    build_type: &'static str,
    external_parameters: External<'a>,
    internal_parameters: Internal<'a>,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Serialize)]
struct External<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    build: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    os: &'a [String],
    component: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Internal<'a> {
    target: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    glibc: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tools: BTreeMap<&'static str, &'static str>,
    compilers: BTreeMap<&'a str, Versions<'a>>,
}

#[derive(Serialize)]
struct Versions<'a> {
    rustc: &'a str,
    cargo: &'a str,
}

#[derive(Serialize)]
struct Details {
    builder: Builder,
    byproducts: Vec<Resource>,
}

#[derive(Serialize)]
struct Builder {
    id: &'static str,
    version: BTreeMap<&'static str, String>,
}

#[derive(Default, Serialize)]
struct Resource {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

/// The statement, as bytes that are the same for the same input.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn statement(built: &Built<'_>) -> Result<Vec<u8>> {
    let Built { plan, toolchain, .. } = built;
    let compilers = built.compilers.iter().map(|(component, compiler)| {
        (component.as_str(), Versions { rustc: &compiler.rustc, cargo: &compiler.cargo })
    });
    let statement = Statement {
        kind: STATEMENT,
        subject: vec![of_file(built.name, None, hex(built.digest))],
        predicate_type: PREDICATE,
        predicate: Predicate {
            build_definition: Definition {
                build_type: BUILD_TYPE,
                external_parameters: External {
                    version: plan.asked.version.as_deref(),
                    name: plan.asked.name.as_deref(),
                    build: plan.kind(),
                    os: &plan.asked.os,
                    component: built.components.iter().map(|c| (&*c.name, &*c.reference)).collect(),
                },
                internal_parameters: Internal {
                    target: TARGET,
                    glibc: plan.portable.then_some(GLIBC_FLOOR),
                    tools: plan.tools().map(|tool| (tool.name, tool.version)).collect(),
                    compilers: compilers.collect(),
                },
                resolved_dependencies: dependencies(built),
            },
            run_details: Details {
                builder: Builder {
                    id: BUILDER,
                    version: BTreeMap::from([("commit", toolchain.commit.clone())]),
                },
                byproducts: vec![of_file(
                    &format!("{}.{}", built.name, super::SBOM_EXTENSION),
                    None,
                    hex_of(built.sbom),
                )],
            },
        },
    };
    let mut bytes = serde_json::to_vec_pretty(&statement)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// All that went into the file: the manifest, commits, lock files, bundled files, packages, compilers.
fn dependencies(built: &Built<'_>) -> Vec<Resource> {
    let tree = built.toolchain;
    let mut all = vec![
        of_file("build.toml", None, built.plan.asked.manifest.clone()),
        of_commit(TOOLCHAIN, &tree.source, &tree.commit, tree.dirty),
    ];
    let component = |c: &Resolved| of_commit(&c.name, &c.source, &c.commit, c.dirty);
    all.extend(built.components.iter().map(component));
    for (name, inventory) in built.inventories {
        all.push(of_file(&format!("Cargo.lock of {name}"), None, inventory.lock.clone()));
    }
    for step in &built.plan.steps {
        if let Step::Fetch { bundle, from, sha256, .. } = step {
            all.push(of_file(&format!("bundle {bundle}"), public(from), sha256.clone()));
        }
    }
    for record in built.records {
        for carried in &record.packages {
            let package = &carried.package;
            let purl = purl_of_deb(&record.os, &package.name, &package.version, &package.architecture);
            all.push(of_file(&format!("package {}", package.name), Some(purl), package.sha256.clone()));
        }
    }
    let mut compilers: Vec<Resource> = built
        .compilers
        .values()
        .filter_map(|compiler| {
            let commit = compiler.commit.clone()?;
            Some(Resource {
                name: format!("rustc {}", compiler.release),
                digest: BTreeMap::from([("gitCommit", commit)]),
                ..Resource::default()
            })
        })
        .collect();
    compilers.sort_by(|a, b| a.name.cmp(&b.name));
    compilers.dedup_by(|a, b| a.name == b.name && a.digest == b.digest);
    all.extend(compilers);
    all
}

fn of_file(name: &str, uri: Option<String>, sha256: String) -> Resource {
    let digest = BTreeMap::from([("sha256", sha256)]);
    Resource { name: name.to_owned(), uri, digest, ..Resource::default() }
}

fn of_commit(name: &str, source: &str, commit: &str, dirty: bool) -> Resource {
    let annotations =
        if dirty { BTreeMap::from([("uncommittedChanges", "true".to_owned())]) } else { BTreeMap::new() };
    Resource {
        name: name.to_owned(),
        uri: Some(commit_uri(source, commit)),
        digest: BTreeMap::from([("gitCommit", commit.to_owned())]),
        annotations,
    }
}
