//! The list of parts of a packed file, in CycloneDX's words (specification 1.6, as JSON).
//!
//! Each component of the product is a component here that holds its files and its crates, so that what is in one program is
//! told from what is in another, features and all. References are made of names, never of paths.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::inventory::{Crate, From, Inventory};
use super::place::{public, purl_of_deb, swhid};
use crate::os::Record;
use crate::plan::{Plan, RunningTree, Step, TARGET, TOOLCHAIN, short};
use crate::refs::{Resolved, WORKTREE};

/// What the list is made from.
pub struct Described<'a> {
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
    /// Path and SHA-256 of what is packed, by component or bundle.
    pub files: &'a BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    tools: Tools<'a>,
    component: Component<'a>,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: Vec<Component<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    bom_ref: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    swhid: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

/// A licence: an SPDX expression, or what others call it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum License<'a> {
    License {
        name: &'a str,
    },
    #[serde(untagged)]
    Expression {
        expression: &'a str,
    },
}

#[derive(Serialize)]
struct Reference {
    r#type: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

/// The list, as bytes that are the same for the same input.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn sbom(described: &Described<'_>) -> Result<Vec<u8>> {
    let mut bom = bom(described);
    let digest: [u8; 32] = Sha256::digest(serde_json::to_vec(&bom)?).into();
    bom.serial_number = Some(format!("urn:uuid:{}", uuid(&digest)));
    let mut bytes = serde_json::to_vec_pretty(&bom)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn bom<'a>(described: &Described<'a>) -> Bom<'a> {
    let Described { plan, components, toolchain, .. } = described;
    let product = "product".to_owned();
    let mut parts = vec![own_tree(described)];
    parts.extend(components.iter().map(|component| of_component(component, described)));
    parts.extend(plan.steps.iter().filter_map(|step| bundle(step, described)));
    parts.extend(described.records.iter().map(|record| of_packages(record, described)));
    let mut dependencies = vec![Dependency {
        r#ref: product.clone(),
        depends_on: parts.iter().map(|part| part.bom_ref.clone()).collect(),
    }];
    for part in &parts {
        let root = part
            .bom_ref
            .strip_prefix("component:")
            .and_then(|name| Some(crate_ref(name, &described.inventories.get(name)?.root)));
        dependencies.push(Dependency { r#ref: part.bom_ref.clone(), depends_on: root.into_iter().collect() });
    }
    for (component, inventory) in described.inventories {
        for (id, found) in &inventory.crates {
            let depends_on = found.dependencies.iter().map(|other| crate_ref(component, other)).collect();
            dependencies.push(Dependency { r#ref: crate_ref(component, id), depends_on });
        }
    }
    let tool = Component {
        r#type: "application",
        name: "cargo xtask all-in-one",
        version: Some(&toolchain.commit),
        swhid: vec![swhid(&toolchain.commit)],
        ..Component::default()
    };
    let mut tools = vec![tool];
    tools.extend(plan.tools().map(|tool| Component {
        r#type: "application",
        name: tool.name,
        version: Some(tool.version),
        ..Component::default()
    }));
    Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata {
            timestamp: timestamp(plan.created),
            tools: Tools { components: tools },
            component: Component {
                r#type: "application",
                bom_ref: product,
                name: &plan.product,
                version: Some(plan.version.as_str()),
                ..Component::default()
            },
            properties: vec![
                Property { name: "cdx:reproducible", value: "true".into() },
                Property { name: "cairn:target", value: TARGET.into() },
                Property { name: "cairn:build", value: plan.kind().into() },
            ],
        },
        components: parts,
        dependencies,
    }
}

/// The helper and what else the running tree brings.
fn own_tree<'a>(described: &Described<'a>) -> Component<'a> {
    let tree = described.toolchain;
    Component {
        version: Some(short(&tree.commit)),
        ..application(TOOLCHAIN, &tree.source, &tree.commit, WORKTREE, tree.dirty, described)
    }
}

fn of_component<'a>(component: &'a Resolved, described: &Described<'a>) -> Component<'a> {
    let Resolved { name, source, commit, reference, dirty, version, .. } = component;
    let by_commit = reference == WORKTREE;
    Component {
        version: version.as_deref().or(Some(if by_commit { short(commit) } else { reference })),
        ..application(name, source, commit, reference, *dirty, described)
    }
}

fn application<'a>(
    name: &'a str,
    source: &str,
    commit: &str,
    reference: &str,
    dirty: bool,
    described: &Described<'a>,
) -> Component<'a> {
    let mut properties = vec![
        Property { name: "cairn:ref", value: reference.to_owned() },
        Property { name: "cairn:commit", value: commit.to_owned() },
    ];
    if dirty {
        properties.push(Property { name: "cairn:dirty", value: "true".into() });
    }
    let inventory = described.inventories.get(name);
    let files = described.files.get(name).into_iter().flatten();
    let mut components: Vec<Component<'_>> = files.map(|(path, sha256)| file(path, sha256)).collect();
    for (id, found) in inventory.into_iter().flat_map(|inventory| &inventory.crates) {
        let is_root = inventory.is_some_and(|inventory| inventory.root == *id);
        components.push(of_crate(crate_ref(name, id), found, is_root, (!dirty).then_some(commit)));
    }
    let root = inventory.and_then(|inventory| inventory.crates.get(&inventory.root));
    Component {
        r#type: "application",
        bom_ref: format!("component:{name}"),
        name,
        licenses: licenses(root.and_then(|root| root.license.as_deref())),
        swhid: if dirty { Vec::new() } else { vec![swhid(commit)] },
        external_references: reference_to("vcs", public(source)),
        properties,
        components,
        ..Component::default()
    }
}

fn of_crate<'a>(bom_ref: String, found: &'a Crate, is_root: bool, own: Option<&str>) -> Component<'a> {
    let mut properties = Vec::new();
    let mut swhids = Vec::new();
    match &found.from {
        From::Checkout(folder) => {
            swhids.extend(own.map(swhid));
            properties.push(Property { name: "cairn:folder", value: folder.clone() });
        }
        From::Git(_, commit) if commit.len() == 40 => swhids.push(swhid(commit)),
        From::Git(..) | From::Registry | From::OtherRegistry(_) | From::Toolchain => (),
    }
    Component {
        r#type: if is_root { "application" } else { "library" },
        bom_ref,
        name: &found.name,
        version: Some(&found.version),
        hashes: found.sha256.as_deref().map(hash).into_iter().collect(),
        licenses: licenses(found.license.as_deref()),
        purl: found.purl(),
        swhid: swhids,
        properties,
        ..Component::default()
    }
}

fn bundle<'a>(step: &'a Step, described: &Described<'a>) -> Option<Component<'a>> {
    let Step::Fetch { bundle, from, license, .. } = step else { return None };
    let (path, sha256) = described.files.get(bundle)?.first_key_value()?;
    Some(Component {
        bom_ref: format!("bundle:{bundle}"),
        licenses: licenses(license.as_deref()),
        external_references: reference_to("distribution", public(from)),
        properties: vec![Property { name: "cairn:bundle", value: bundle.clone() }],
        ..file(path, sha256)
    })
}

/// Packages of an operating system, with the index and the record beside them.
fn of_packages<'a>(record: &'a Record, described: &Described<'a>) -> Component<'a> {
    let property = |name, value: &str| Property { name, value: value.to_owned() };
    let files: BTreeMap<&str, &'a str> = described
        .files
        .get(&record.os)
        .into_iter()
        .flatten()
        .map(|(path, sha256)| (&**sha256, &**path))
        .collect();
    let carried = record.packages.iter().map(|carried| {
        let package = &carried.package;
        let mut properties = vec![
            property("cairn:source", &format!("{} {}", carried.source.name, carried.source.version)),
            property("cairn:licenses-from", &carried.licenses_from),
        ];
        properties.extend(files.get(&*package.sha256).map(|path| property("cairn:file", path)));
        Component {
            r#type: "library",
            bom_ref: format!("package:{}/{}", record.os, package.name),
            name: &package.name,
            version: Some(&package.version),
            hashes: vec![hash(&package.sha256)],
            licenses: carried.licenses.iter().map(|name| License::License { name }).collect(),
            purl: Some(purl_of_deb(&record.os, &package.name, &package.version, &package.architecture)),
            properties,
            ..Component::default()
        }
    });
    let mut components: Vec<Component<'_>> = carried.collect();
    let is_about = |sha256: &&str| !record.packages.iter().any(|carried| carried.package.sha256 == **sha256);
    components
        .extend(files.iter().filter(|(sha256, _)| is_about(sha256)).map(|(sha256, path)| file(path, sha256)));
    let versions = if record.locked { "of a lock" } else { "of the day" };
    Component {
        r#type: "operating-system",
        bom_ref: format!("os:{}", record.os),
        name: &record.os,
        properties: vec![property("cairn:suite", &record.suite), property("cairn:versions", versions)],
        components,
        ..Component::default()
    }
}

fn file<'a>(path: &'a str, sha256: &'a str) -> Component<'a> {
    Component {
        r#type: "file",
        bom_ref: format!("file:{path}"),
        name: path,
        hashes: vec![hash(sha256)],
        ..Component::default()
    }
}

fn hash(sha256: &str) -> Hash<'_> {
    Hash { alg: "SHA-256", content: sha256 }
}

fn licenses(expression: Option<&str>) -> Vec<License<'_>> {
    expression.map(|expression| License::Expression { expression }).into_iter().collect()
}

fn reference_to(kind: &'static str, url: Option<String>) -> Vec<Reference> {
    url.map(|url| Reference { r#type: kind, url }).into_iter().collect()
}

fn crate_ref(component: &str, id: &str) -> String {
    format!("crate:{component}/{id}")
}

/// A UUID that follows from the content: of the version whose bits are free to choose.
fn uuid(digest: &[u8; 32]) -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|index| digest[index]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Seconds since 1970 as RFC 3339 writes them.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March on, so that the day that some have more is their last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_as_a_date() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), expected);
        }
    }

    #[test]
    fn a_uuid_says_that_it_was_chosen() {
        assert_eq!(uuid(&[0xff; 32]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(uuid(&[0; 32]), "00000000-0000-8000-8000-000000000000");
    }
}
