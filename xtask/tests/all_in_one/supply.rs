//! What lies in and beside a packed file for those who ask what it is made of, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{Keys, MANIFEST, Packed, Ran, World, Xtask, project};

const SBOM: &str = "share/sbom.cdx.json";
const LICENSES: &str = "share/licenses/THIRD-PARTY.txt";

/// A world whose server stands on crates of its own: one that is linked, one that a feature turns on, one that no feature
/// turns on, one that runs while building and one that tests use.
fn with_crates() -> World {
    let world = World::new();
    project::with_crates(&world.server);
    world.server.release("crates");
    let server = "bins = [\"server\"]\nfeatures = [\"more\"]";
    world.manifest_of(&MANIFEST.replace("bins = [\"server\"]", server));
    world
}

fn build(world: &World) -> Ran {
    world.all_in_one(["--version=0.9fix", "--component=server=crates"]).run().succeeded()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn beside(file: &Path, extension: &str) -> Vec<u8> {
    fs::read(file.with_added_extension(extension)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The component of the list with this reference, wherever it is nested.
fn find<'a>(components: &'a Value, reference: &str) -> Option<&'a Value> {
    components.as_array()?.iter().find_map(|component| match &component["bom-ref"] {
        own if own == reference => Some(component),
        _ => find(&component["components"], reference),
    })
}

fn names<'a>(component: &'a Value, kinds: &[&str]) -> BTreeSet<&'a str> {
    let parts = component["components"].as_array().unwrap().iter();
    let of_kind = parts.filter(|part| kinds.iter().any(|kind| part["type"] == *kind));
    of_kind.map(|part| part["name"].as_str().unwrap()).collect()
}

/// References of all components, which are unique, and what each depends on.
fn graph(list: &Value) -> BTreeMap<&str, Vec<&str>> {
    let mut references = BTreeSet::from([list["metadata"]["component"]["bom-ref"].as_str().unwrap()]);
    let mut open = vec![&list["components"]];
    while let Some(components) = open.pop() {
        for component in components.as_array().unwrap() {
            let reference = component["bom-ref"].as_str().unwrap();
            assert!(references.insert(reference), "{reference} is there twice");
            open.extend(component.get("components"));
        }
    }
    let text = |value: &'static str, of: &'_ Value| of[value].as_str().map(str::to_owned);
    let mut graph = BTreeMap::new();
    for dependency in list["dependencies"].as_array().unwrap() {
        assert!(references.contains(&*text("ref", dependency).unwrap()), "{dependency}");
        let on = dependency["dependsOn"].as_array().map(Vec::as_slice).unwrap_or_default();
        let on: Vec<&str> = on.iter().map(|other| other.as_str().unwrap()).collect();
        on.iter().for_each(|other| assert!(references.contains(other), "{other} is nowhere"));
        graph.insert(dependency["ref"].as_str().unwrap(), on);
    }
    graph
}

/// What the published schema finds wrong with a list of parts.
pub fn faults(list: &Value) -> Vec<String> {
    let schema = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all_in_one/cyclonedx");
        json(&fs::read(folder.join(format!("{name}.schema.json"))).unwrap())
    };
    let place = |name: &str| format!("http://cyclonedx.org/schema/{name}.schema.json");
    let registry = jsonschema::Registry::new()
        .add(place("spdx"), schema("spdx"))
        .and_then(|registry| registry.add(place("jsf-0.82"), schema("jsf-0.82")))
        .and_then(jsonschema::RegistryBuilder::prepare)
        .unwrap();
    let schema = schema("bom-1.6");
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.with_registry(&registry).build(&schema).unwrap();
    validator.iter_errors(list).map(|fault| fault.to_string()).collect()
}

#[test]
fn the_list_of_parts_is_what_the_published_schema_wants() {
    let world = with_crates();
    let content = b"a file of others".to_vec();
    fs::write(world.sources().join("extra.bin"), &content).unwrap();
    let more = format!(
        "\n[bundle.extra]\npath = \"extra.bin\"\nsha256 = \"{}\"\nto = \"lib/extra.bin\"\nlicense = \"Zlib\"\n",
        hex(&content)
    );
    let manifest = fs::read_to_string(world.sources().join("build.toml")).unwrap();
    world.manifest_of(&format!("{manifest}{more}"));
    let file = build(&world).file();
    let list = json(&beside(&file, "cdx.json"));
    assert_eq!(faults(&list), Vec::<String>::new());
    // The schema is one that finds faults.
    for (pointer, wrong) in
        [("/bomFormat", "another"), ("/serialNumber", "x"), ("/components/0/type", "thing")]
    {
        let mut list = list.clone();
        *list.pointer_mut(pointer).unwrap() = wrong.into();
        assert!(!faults(&list).is_empty(), "{pointer}");
    }
    let bundle = find(&list["components"], "bundle:extra").unwrap();
    assert_eq!((&bundle["name"], &bundle["type"]), (&"lib/extra.bin".into(), &"file".into()));
    assert_eq!(bundle["hashes"][0]["content"], hex(&content).as_str());
    assert_eq!(bundle["licenses"][0]["expression"], "Zlib");
    let texts = Packed::open(&file).text(LICENSES);
    assert!(texts.contains("\nlib/extra.bin\n    Zlib\n"), "{texts}");
}

#[test]
fn the_list_of_parts_is_what_is_packed_and_linked() {
    let world = with_crates();
    let file = build(&world).file();
    let packed = Packed::open(&file);
    assert!(packed.content(SBOM) == beside(&file, "cdx.json"), "inside and beside differ");
    let list = json(&packed.content(SBOM));
    let product = &list["metadata"]["component"];
    let version = &packed.manifest().version;
    assert_eq!((&product["name"], product["version"].as_str()), (&"trio".into(), Some(&**version)));

    // Every file, with its digest, but those that speak of it.
    let about = [SBOM, LICENSES];
    for entry in packed.manifest().entries.iter().filter(|entry| !about.contains(&entry.path.as_str())) {
        let found = find(&list["components"], &format!("file:{}", entry.path));
        let found = found.unwrap_or_else(|| panic!("{} is not listed", entry.path));
        assert_eq!(found["hashes"][0]["content"], entry.sha256.as_str());
    }

    // Every crate that is linked, and no other.
    let server = find(&list["components"], "component:server").unwrap();
    let linked = BTreeSet::from(["server", "inner", "extra", "rust-std"]);
    assert_eq!(names(server, &["library", "application"]), linked);
    let commit = world.server.head();
    assert_eq!(server["version"], "crates");
    assert_eq!(server["swhid"][0], format!("swh:1:rev:{commit}"));
    let inner = find(&list["components"], "crate:server/inner@0.2.0").unwrap();
    assert_eq!(inner["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(inner["purl"], Value::Null, "no package database knows it");
    let dashboard = find(&list["components"], "component:dashboard").unwrap();
    assert_eq!(
        names(dashboard, &["file"]),
        BTreeSet::from(["share/web/index.html", "share/web/version.json"])
    );
    let graph = graph(&list);
    assert_eq!(
        graph["crate:server/server@0.1.0"],
        ["crate:server/extra@0.2.0", "crate:server/inner@0.2.0", std_ref(&graph)]
    );
    assert_eq!(graph["component:server"], ["crate:server/server@0.1.0"]);
    let parts = ["toolchain", "agent", "dashboard", "server"].map(|name| format!("component:{name}"));
    assert_eq!(graph["product"], parts);

    // The helper stands on crates that have a name everywhere.
    let toolchain = find(&list["components"], "component:toolchain").unwrap();
    let crates = toolchain["components"].as_array().unwrap().iter();
    let locked = crates.filter(|found| found["purl"].is_string()).inspect(|found| {
        let (name, version) = (found["name"].as_str().unwrap(), found["version"].as_str().unwrap());
        assert_eq!(found["purl"], format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")));
        assert_eq!(found["hashes"][0]["content"].as_str().unwrap().len(), 64, "{found}");
        assert!(found["licenses"][0]["expression"].is_string(), "{found}");
    });
    assert!(locked.count() > 20);
    let linked = names(toolchain, &["library", "application"]);
    assert!(["cairnctl", "serde", "glibc"].iter().all(|name| linked.contains(name)), "{linked:?}");
    assert!(["serde_derive", "tempfile", "cc"].iter().all(|name| !linked.contains(name)), "{linked:?}");
}

fn std_ref<'a>(graph: &BTreeMap<&'a str, Vec<&str>>) -> &'a str {
    graph.keys().find(|reference| reference.starts_with("crate:server/rust-std@")).unwrap()
}

#[test]
fn licence_texts_are_packed_once_each() {
    let world = with_crates();
    let texts = Packed::open(&build(&world).file()).text(LICENSES);
    let entry = |name: &str| {
        let start = texts.find(&format!("\n{name} ")).unwrap_or_else(|| panic!("{texts}\nhas no {name}"));
        texts[start..].split("\n\n").next().unwrap().trim_start().to_owned()
    };
    assert!(entry("inner").starts_with("inner 0.2.0\n    MIT OR Apache-2.0\n    in server\n    text "));
    assert!(
        entry("agent").ends_with("    no license is stated\n    in agent\n    no license text came with it")
    );
    assert!(entry("rust-std").contains("\n    in agent, server, toolchain\n"), "{texts}");
    assert_eq!(texts.matches("Terms of inner.").count(), 1);
    assert_eq!(
        texts.matches("Terms of the server.").count(),
        1,
        "its own and those of `extra`, which has none"
    );
    assert!(texts.contains(", of extra 0.2.0 (LICENSE), server 0.1.0 (LICENSE)\n"), "{texts}");
    for absent in ["\nspare ", "\nmaker ", "\ntester "] {
        assert!(!texts.contains(absent), "{absent} is not linked");
    }
}

#[test]
fn the_statement_says_how_this_very_file_was_made() {
    let world = with_crates();
    world.agent.write("new.txt", "new\n");
    let arguments =
        ["--version=0.9fix", "--component=server=crates", "--component=agent=worktree", "--name=qa"];
    let file = world.all_in_one(arguments).run().succeeded().file();
    let statement = json(&beside(&file, "provenance.json"));
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let subject = &statement["subject"][0];
    assert_eq!(subject["name"], file.file_name().unwrap().to_str().unwrap());
    assert_eq!(subject["digest"]["sha256"], hex(&fs::read(&file).unwrap()).as_str());
    let definition = &statement["predicate"]["buildDefinition"];
    let asked = serde_json::json!({
        "version": "0.9fix",
        "name": "qa",
        "build": "native",
        "component": {"agent": "worktree", "dashboard": "0.9fix", "server": "crates"},
    });
    assert_eq!(definition["externalParameters"], asked);
    let all = definition["resolvedDependencies"].as_array().unwrap();
    let of = |name: &str| all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let commit = world.server.head();
    assert_eq!(of("server")["digest"]["gitCommit"], commit.as_str());
    assert_eq!(of("server")["uri"], format!("swh:1:rev:{commit}"));
    assert_eq!(of("server")["annotations"], Value::Null);
    assert_eq!(of("agent")["annotations"]["uncommittedChanges"], "true");
    let lock = fs::read(world.server.path().join("Cargo.lock")).unwrap();
    assert_eq!(of("Cargo.lock of server")["digest"]["sha256"], hex(&lock).as_str());
    let manifest = fs::read(world.sources().join("build.toml")).unwrap();
    assert_eq!(of("build.toml")["digest"]["sha256"], hex(&manifest).as_str());
    assert_eq!(of("toolchain")["digest"]["gitCommit"].as_str().unwrap().len(), 40);
    let compilers = &definition["internalParameters"]["compilers"];
    for component in ["agent", "server", "toolchain"] {
        assert!(compilers[component]["rustc"].as_str().unwrap().starts_with("rustc 1."), "{compilers}");
        assert!(compilers[component]["cargo"].as_str().unwrap().starts_with("cargo 1."), "{compilers}");
    }
    let list = &statement["predicate"]["runDetails"]["byproducts"][0];
    assert_eq!(list["digest"]["sha256"], hex(&beside(&file, "cdx.json")).as_str());

    // Nothing of this machine.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let home = std::env::var("HOME").unwrap();
    let here = [world.path("").display().to_string(), home, format!("\"{}\"", host.trim())];
    for extension in ["cdx.json", "provenance.json"] {
        let text = String::from_utf8(beside(&file, extension)).unwrap();
        for word in &here {
            assert!(!text.contains(word.trim_end_matches('/')), "{extension} names {word}");
        }
    }
}

#[test]
fn what_lies_beside_a_file_and_belongs_to_another_is_refused() {
    let world = World::new();
    let file = world.all_in_one(["--version=0.9fix"]).run().succeeded().file();
    let verify = || Xtask::new(["verify", file.to_str().unwrap()]).run();
    let said = verify().succeeded().stdout;
    assert!(
        said.contains(".run.cdx.json is the list") && said.contains(".run.provenance.json speaks of"),
        "{said}"
    );
    let inspected = Xtask::new(["inspect", file.to_str().unwrap()]).run().succeeded().stdout;
    for words in [SBOM, LICENSES, "0.9fix-x86_64.run.cdx.json\n", "0.9fix-x86_64.run.provenance.json\n"] {
        assert!(inspected.contains(words), "{inspected}\ndoes not say: {words}");
    }
    let other = world.all_in_one(["--version=0.9"]).run().succeeded().file();
    for extension in ["cdx.json", "provenance.json"] {
        let place = file.with_added_extension(extension);
        let own = fs::read(&place).unwrap();
        for wrong in [beside(&other, extension), b"{}".to_vec(), own[..own.len() - 3].to_vec()] {
            fs::write(&place, &wrong).unwrap();
            let ran = verify();
            assert_eq!(ran.code, Some(2), "{extension}: {}", ran.stdout);
            assert!(ran.stderr.contains(&*place.to_string_lossy()), "{}", ran.stderr);
            assert!(ran.stderr.contains("; get both from where the file is published, or remove it"));
        }
        fs::remove_file(&place).unwrap();
        verify().succeeded();
        fs::write(&place, own).unwrap();
    }
    // A signature is not put on a file beside which another one's statement lies.
    let keys = Keys::new(&world, "key");
    let sign = || Xtask::new(["sign", file.to_str().unwrap()]).option("--key", &keys.private).run();
    let place = file.with_added_extension("provenance.json");
    let own = fs::read(&place).unwrap();
    fs::write(&place, beside(&other, "provenance.json")).unwrap();
    let (before, ran) = (fs::read(&file).unwrap(), sign());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(fs::read(&file).unwrap() == before, "it was signed");
    fs::write(&place, own).unwrap();
    assert_eq!(sign().code, Some(0));
    assert!(verify().succeeded().stdout.contains(".run.provenance.json speaks of"), "after signing");
}
