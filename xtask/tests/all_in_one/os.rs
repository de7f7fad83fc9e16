//! Packages of an operating system in the file: what they are, where they come from, and what happens when a mirror has others.

use std::fs;

use serde_json::Value;

use crate::supply::faults;
use crate::support::mirror::{Mirror, Package, write_set};
use crate::support::{Packed, Ran, Toolchain, World, Xtask, shared_cache};

const SET: &str = "suite = \"tiny\"\narchitecture = \"amd64\"\nalso = [\"friend\"]\n\
                   [role.agent]\npackages = [\"hyper\"]\n[role.server]\npackages = []\n";

const READABLE: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                        Files: *\nCopyright: N\nLicense: GPL-2+\n text\n";

/// A world whose hosts need the package `hyper`, which needs `base`; `friend` is carried as well, `stranger` is not.
struct Carrying {
    name: &'static str,
    // It stops what it has started, and lies in the world's folder.
    mirror: Mirror,
    world: World,
    toolchain: Toolchain,
}

impl Carrying {
    /// The name of the set is this test's own: the cache that tests share has a folder of that name.
    fn new(name: &'static str) -> Self {
        let _ = fs::remove_dir_all(shared_cache().join("apt").join(name));
        let world = World::new();
        write_set(&world.sources(), name, SET);
        let toolchain = Toolchain::new(&world);
        let mirror = Mirror::new(world.path("mirror"));
        let carrying = Self { name, world, toolchain, mirror };
        carrying.publish("1:2.0-1");
        carrying.mirror.introduce();
        carrying
    }

    /// Publishes `hyper` in this version, and the others.
    fn publish(&self, version: &str) {
        let package = |name, version, fields, copyright| Package { name, version, fields, copyright };
        self.mirror.publish(&[
            package("base", "1.0", "", "prose\n"),
            package("friend", "1.0", "", READABLE),
            package("hyper", version, "Depends: base (>= 1.0)\nRecommends: stranger\n", READABLE),
            package("stranger", "1.0", "", READABLE),
        ]);
    }

    fn build(&self, words: &[&str]) -> Ran {
        let call = self.world.all_in_one(["--os", self.name]).arguments(words.iter().copied());
        self.toolchain.run_by(self.mirror.known_to(call)).run()
    }

    fn call(&self, words: &[&str]) -> Xtask {
        let call =
            Xtask::new(words.iter().copied()).env("CAIRN_MANIFEST", self.world.sources().join("build.toml"));
        self.toolchain.run_by(self.mirror.known_to(call.env("CAIRN_NATIVE", "true")))
    }

    fn update(&self) -> Ran {
        self.call(&["os", "update"]).env("CAIRN_CACHE", shared_cache()).run().succeeded()
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn part<'a>(list: &'a Value, reference: &str) -> &'a Value {
    let all = list["components"].as_array().unwrap().iter();
    let mut all =
        all.flat_map(|part| std::iter::once(part).chain(part["components"].as_array().into_iter().flatten()));
    all.find(|part| part["bom-ref"] == reference).unwrap_or_else(|| panic!("{reference} is not listed"))
}

#[test]
fn packages_are_carried_recorded_and_described() {
    let carrying = Carrying::new("tiny-1");
    let file = carrying.build(&[]).succeeded().file();
    let packed = Packed::open(&file);
    let folder = "share/os/tiny-1";
    let expected =
        ["Packages", "base_1.0_amd64.deb", "friend_1.0_amd64.deb", "hyper_2.0-1_amd64.deb", "packages.json"];
    assert_eq!(packed.section("os-tiny-1"), expected.map(|name| format!("{folder}/{name}")));
    let section = packed.manifest().sections.iter().find(|section| section.name == "os-tiny-1").unwrap();
    assert_eq!((section.os(), &section.roles[..]), (Some("tiny-1"), &["agent".to_owned()][..]));
    let needed = packed.manifest().sections_of("agent").any(|section| section.name == "os-tiny-1");
    assert!(!needed, "what only some hosts can use is no part of what every host of a role unpacks");

    let record = json(&packed.content(&format!("{folder}/packages.json")));
    assert_eq!((&record["locked"], &record["roles"]["agent"][0]), (&false.into(), &"hyper".into()));
    let hyper = &record["packages"][2];
    assert_eq!((&hyper["version"], &hyper["source"]["name"]), (&"1:2.0-1".into(), &"hyper".into()));
    assert_eq!((&hyper["licenses"][0], &hyper["installed_kib"]), (&"GPL-2+".into(), &5.into()));
    assert_eq!(record["packages"][0]["licenses_from"], "its copyright file is prose");
    let entry = packed.manifest().entry(&format!("{folder}/hyper_2.0-1_amd64.deb")).unwrap();
    assert_eq!(hyper["sha256"], entry.sha256.as_str());
    let index = packed.text(&format!("{folder}/Packages"));
    assert!(index.contains(&format!(
        "Filename: ./hyper_2.0-1_amd64.deb\nSize: {}\nSHA256: {}\n",
        entry.size, entry.sha256
    )));

    let list = json(&packed.content("share/sbom.cdx.json"));
    assert_eq!(faults(&list), Vec::<String>::new());
    let part = part(&list, "package:tiny-1/hyper");
    assert_eq!(part["purl"], "pkg:deb/tiny/hyper@1%3A2.0-1?arch=amd64&distro=tiny-1");
    assert_eq!(part["licenses"][0]["license"]["name"], "GPL-2+");
    assert_eq!(part["hashes"][0]["content"], entry.sha256.as_str());
    let statement = json(&fs::read(file.with_added_extension("provenance.json")).unwrap());
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["os"][0], "tiny-1");
    let resolved = definition["resolvedDependencies"].as_array().unwrap();
    assert!(resolved.iter().any(|resource| resource["digest"]["sha256"] == entry.sha256.as_str()));
    let shown = Xtask::new(["inspect", file.to_str().unwrap()]).run().succeeded().stdout;
    assert!(shown.contains("carries 3 packages of tiny-1, those of the day"), "{shown}");
}

#[test]
fn a_release_is_built_by_its_lock_and_an_old_one_from_a_file() {
    let carrying = Carrying::new("tiny-2");
    let version = "--version=0.9fix";
    let refused = carrying.build(&[version]);
    carrying.world.nothing_came_out(&refused, 1);
    assert!(
        refused.stderr.contains("run cargo xtask os update tiny-2, or add --os-unlocked"),
        "{}",
        refused.stderr
    );

    carrying.update();
    let lock = carrying.world.sources().join("packaging/os/tiny-2.lock");
    let locked = fs::read_to_string(&lock).unwrap();
    assert!(locked.contains("version = \"1:2.0-1\"") && !locked.contains("stranger"), "{locked}");
    let first = carrying.build(&[version, "--verify-reproducible"]).succeeded().file();
    let bytes = fs::read(&first).unwrap();
    assert!(Packed::open(&first).text("share/os/tiny-2/packages.json").contains("\"locked\": true"));

    // The mirror moves on: whoever has the packages builds the same, whoever has not is told what to do.
    carrying.publish("1:2.0-2");
    fs::remove_dir_all(carrying.world.out()).unwrap();
    assert!(fs::read(carrying.build(&[version]).succeeded().file()).unwrap() == bytes);
    let kept = carrying.world.path("released.run");
    fs::rename(carrying.world.out().join(first.file_name().unwrap()), &kept).unwrap();
    let elsewhere = carrying.world.path("cache");
    let fetch = |words: &[&str]| carrying.call(words).env("CAIRN_CACHE", &elsewhere).run();
    let gone = fetch(&["fetch", version, "--os=tiny-2"]);
    assert_eq!(gone.code, Some(1), "{}", gone.stderr);
    let sentence = "package `hyper` is wanted in version `1:2.0-1`, and the mirror has `1:2.0-2`; run cargo xtask os update tiny-2";
    assert!(gone.stderr.contains(sentence), "{}", gone.stderr);
    let imported = fetch(&["os", "import", kept.to_str().unwrap()]).succeeded().stdout;
    assert!(imported.contains("3 packages, 3 of them new to the cache"), "{imported}");
    fetch(&["fetch", version, "--os=tiny-2"]).succeeded();

    let said = carrying.update().stdout;
    assert!(said.contains("hyper 1:2.0-1 -> 1:2.0-2\n") && !said.contains("base "), "{said}");
    assert_ne!(fs::read_to_string(lock).unwrap(), locked);
}

#[test]
fn what_was_fetched_is_enough_without_a_mirror_and_only_the_right_signature_counts() {
    let carrying = Carrying::new("tiny-3");
    let slip = carrying.world.refusal(["--os", "tinny-3"]);
    assert!(slip.contains("did you mean `tiny-3`?"), "{slip}");

    let offline = ["--offline"];
    let never = carrying.build(&offline);
    carrying.world.nothing_came_out(&never, 3);
    assert!(
        never
            .stderr
            .contains("the packages of tiny-3 were never fetched; run cargo xtask fetch --os tiny-3 "),
        "{}",
        never.stderr
    );
    carrying.call(&["fetch", "--os=tiny-3"]).env("CAIRN_CACHE", shared_cache()).run().succeeded();

    carrying.mirror.new_key("second@mirror.test");
    carrying.publish("1:2.0-2");
    let forged = carrying.build(&[]);
    carrying.world.nothing_came_out(&forged, 7);
    assert!(forged.stderr.contains("cannot ask for the packages of tiny-3"), "{}", forged.stderr);
    let ran = carrying.build(&offline).succeeded();
    assert!(Packed::open(&ran.file()).text("share/os/tiny-3/packages.json").contains("1:2.0-1"));
}

#[test]
fn the_sources_of_what_is_carried_are_fetched() {
    let carrying = Carrying::new("tiny-4");
    carrying.update();
    let out = carrying.world.path("sources-of-packages");
    let call = carrying.call(&["os", "sources"]).env("CAIRN_CACHE", shared_cache()).option("--out", &out);
    call.run().succeeded();
    assert_eq!(fs::read_to_string(out.join("tiny-4/hyper.dsc")).unwrap(), "hyper.dsc of 1:2.0-1\n");
    let mut names: Vec<String> = fs::read_dir(out.join("tiny-4"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["base.dsc", "base.tar", "friend.dsc", "friend.tar", "hyper.dsc", "hyper.tar"]);
}
