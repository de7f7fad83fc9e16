//! What is linked, from what cargo says.

use std::fs;

use serde_json::{Value, json};

use super::*;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A workspace on disk, for the licence files, and what cargo would say of it.
struct World {
    folder: tempfile::TempDir,
    packages: Vec<Value>,
    nodes: Vec<Value>,
    lock: String,
    crates: BTreeMap<PackageId, BTreeSet<String>>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (packages, nodes, crates) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { folder, packages, nodes, lock: "version = 4\n".into(), crates }
    }

    /// Adds a package. `dependencies` are declared: name, kind, whether optional.
    fn package(
        &mut self,
        name: &str,
        version: &str,
        source: Option<&str>,
        dependencies: &[(&str, Option<&str>, bool)],
    ) -> &mut Self {
        let place = if source.is_some() { "registry" } else { "checkout" };
        let folder = self.folder.path().join(place).join(format!("{name}-{version}"));
        fs::create_dir_all(&folder).unwrap();
        let id = format!("{}#{name}@{version}", source.unwrap_or("path+file:///x"));
        let declared = dependencies.iter().map(|(name, kind, optional)| {
            json!({"name": name, "req": "*", "kind": kind, "optional": optional, "uses_default_features": true,
                   "features": [], "source": source})
        });
        let optional = dependencies.iter().filter(|(_, _, optional)| *optional);
        let features = optional.map(|(name, ..)| (format!("with-{name}"), json!([format!("dep:{name}")])));
        self.packages.push(json!({
            "name": name, "version": version, "id": id, "source": source, "license": "MIT/Apache-2.0",
            "dependencies": declared.collect::<Vec<_>>(), "targets": [],
            "features": features.collect::<serde_json::Map<_, _>>(),
            "manifest_path": folder.join("Cargo.toml"), "edition": "2024",
        }));
        let checksum = source.map(|source| {
            let checksum =
                if source == REGISTRY { format!("checksum = \"{name} {version}\"\n") } else { String::new() };
            format!("source = \"{source}\"\n{checksum}")
        });
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n{}", checksum.unwrap_or_default());
        self.lock += &format!("\n[[package]]\n{entry}");
        self.crates.insert(PackageId { repr: id }, BTreeSet::new());
        self
    }

    fn id(&self, name: &str) -> PackageId {
        let is = |id: &&PackageId| id.repr.split('#').next_back().unwrap().starts_with(&format!("{name}@"));
        self.crates.keys().find(is).unwrap().clone()
    }

    /// Adds to the graph what `name` stands on.
    fn edges(&mut self, name: &str, on: &[(&str, Option<&str>)]) -> &mut Self {
        let deps = on.iter().map(|(other, kind)| {
            json!({"name": other, "pkg": self.id(other).repr, "dep_kinds": [{"kind": kind, "target": null}]})
        });
        let deps: Vec<Value> = deps.collect();
        self.nodes.push(json!({"id": self.id(name).repr, "dependencies": [], "deps": deps, "features": []}));
        self
    }

    fn take(&self, root: &str) -> Inventory {
        let metadata = json!({
            "packages": self.packages, "workspace_members": [self.id(root).repr],
            "workspace_default_members": [self.id(root).repr],
            "resolve": {"nodes": self.nodes, "root": null}, "target_directory": "/x", "version": 1,
            "workspace_root": "/x", "metadata": null,
        });
        let metadata = serde_json::from_value(metadata).unwrap();
        let linked = Linked { metadata, root: self.id(root), crates: self.crates.clone() };
        take(&linked, &self.lock, &self.folder.path().join("checkout")).unwrap()
    }
}

fn on(inventory: &Inventory, id: &str) -> Vec<String> {
    inventory.crates[id].dependencies.iter().cloned().collect()
}

#[test]
fn only_what_is_compiled_for_the_target_and_turned_on_is_stood_upon() {
    let mut world = World::new();
    let declared =
        [("used", None, false), ("on", None, true), ("off", None, true), ("built", Some("build"), false)];
    world.package("own", "1.0.0", None, &declared);
    for name in ["used", "on", "off", "built", "proc"] {
        world.package(name, "2.0.0", Some(REGISTRY), &[]);
    }
    let kinds = [("used", None), ("on", None), ("off", None), ("built", Some("build")), ("proc", None)];
    world.edges("own", &kinds);
    // What only the building machine runs was not compiled for the target.
    world.crates.remove(&world.id("proc"));
    let own = world.id("own");
    world.crates.get_mut(&own).unwrap().insert("with-on".into());
    let inventory = world.take("own");
    assert_eq!(inventory.root, "own@1.0.0");
    assert_eq!(on(&inventory, "own@1.0.0"), ["on@2.0.0", "used@2.0.0"]);
    assert!(!inventory.crates.contains_key("proc@2.0.0"));
}

#[test]
fn each_source_has_its_name_and_its_digest() {
    let mut world = World::new();
    let git = "git+https://me@host/x.git?branch=main#0123456789";
    world.package("own", "1.0.0", None, &[]);
    world.package("locked", "1.2.3+build", Some(REGISTRY), &[]);
    world.package("cloned", "0.1.0", Some(git), &[]);
    world.package("private", "0.1.0", Some("sparse+https://host/index/"), &[]);
    world.package("twice", "1.0.0", Some(REGISTRY), &[]).package("twice", "1.0.0", Some(git), &[]);
    let inventory = world.take("own");
    let purl = |id: &str| inventory.crates[id].purl();
    assert_eq!(purl("locked@1.2.3+build").as_deref(), Some("pkg:cargo/locked@1.2.3%2Bbuild"));
    let vcs = "pkg:cargo/cloned@0.1.0?vcs_url=git%2Bhttps://host/x.git%400123456789";
    assert_eq!(purl("cloned@0.1.0").as_deref(), Some(vcs));
    let registry = "pkg:cargo/private@0.1.0?repository_url=https://host/index/";
    assert_eq!(purl("private@0.1.0").as_deref(), Some(registry));
    assert_eq!(purl("own@1.0.0"), None);
    assert_eq!(inventory.crates["locked@1.2.3+build"].sha256.as_deref(), Some("locked 1.2.3+build"));
    assert_eq!(inventory.crates["cloned@0.1.0"].sha256, None);
    assert_eq!(inventory.crates["own@1.0.0"].from, From::Checkout("own-1.0.0".into()));
    assert_eq!(inventory.crates["own@1.0.0"].license.as_deref(), Some("MIT OR Apache-2.0"));
    let two = ["twice@1.0.0", "twice@1.0.0#2"].map(|id| inventory.crates[id].sha256.is_some());
    assert_eq!(two.iter().filter(|locked| **locked).count(), 1, "two sources of one name are two crates");
}

#[test]
fn a_package_of_the_checkout_has_the_licence_above_it_and_one_of_a_registry_only_its_own() {
    let mut world = World::new();
    world.package("own", "1.0.0", None, &[]).package("locked", "1.0.0", Some(REGISTRY), &[]);
    let at = |name: &str| world.folder.path().join(name);
    for place in ["checkout/LICENSE", "registry/LICENSE"] {
        fs::write(at(place), place).unwrap();
    }
    let inventory = world.take("own");
    let texts = |id: &str| {
        let files = inventory.crates[id].texts.iter();
        files.map(|(_, digest)| inventory.texts[digest].clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts("own@1.0.0"), ["checkout/LICENSE"]);
    assert!(texts("locked@1.0.0").is_empty());
}
