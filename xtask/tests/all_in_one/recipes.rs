//! How a component is built travels with its source: an old tag is built by its own recipe.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use packaging_archive::{Mode, Origin};

use crate::support::{Packed, World, project};

const OLD: &str = "\
[archive]
product = \"of another time\"
a-key-of-another-time = true

[component.server]
kind = \"cargo\"
package = \"legacy\"
bins = [\"legacy\"]
units = [\"conf/legacy.service\"]
files = [\"docs\", { from = \"NOTES\", to = \"notes/server.txt\" }]
";

/// Puts a tag `old` on the server, whose layout and recipe are others.
fn with_an_old_tag() -> World {
    let world = World::new();
    world.server.git(["checkout", "--quiet", "-b", "old-days", "0.9"]);
    project::program(&world.server, "legacy", "legacy");
    world.server.write("build.toml", OLD);
    world.server.write("conf/legacy.service", "[Service]\n");
    world.server.write("docs/one/two.md", "two\n");
    world.server.write("NOTES", "notes\n");
    let notes = world.server.path().join("NOTES");
    fs::set_permissions(notes, fs::Permissions::from_mode(0o755)).unwrap();
    world.server.release("old");
    world.server.git(["checkout", "--quiet", "main"]);
    world
}

#[test]
fn an_old_tag_is_built_by_its_own_recipe() {
    let world = with_an_old_tag();
    let ran = world.all_in_one(["--version", "0.9", "--component", "server=old"]).run().succeeded();
    let packed = Packed::open(&ran.file());
    assert_eq!(
        packed.section("server"),
        ["bin/legacy", "share/docs/one/two.md", "share/notes/server.txt", "systemd/legacy.service"]
    );
    assert_eq!(packed.run("bin/legacy"), "legacy\n");
    assert_eq!(packed.text("share/docs/one/two.md"), "two\n");
    let mode = |path: &str| packed.manifest().entry(path).unwrap().mode;
    assert_eq!(mode("share/notes/server.txt"), Mode::Executable);
    assert_eq!(mode("share/docs/one/two.md"), Mode::File);
    let recipe = |name: &str| packed.component(name).recipe;
    assert_eq!(recipe("server"), Origin::Checkout);
    assert_eq!(recipe("agent"), Origin::Manifest);
    assert_eq!(packed.manifest().product, "trio");
    let said = |name: &str| ran.stderr.lines().find(|line| line.trim().starts_with(name)).unwrap().to_owned();
    assert!(said("server old").ends_with("recipe from its own checkout, unstamped"), "{}", ran.stderr);
    assert!(said("agent 0.9").ends_with("recipe from the manifest given, unstamped"), "{}", ran.stderr);
    assert!(said("dashboard 0.9").ends_with("version 0.9, recipe from the manifest given"), "{}", ran.stderr);
}

#[test]
fn where_it_goes_is_the_manifests_to_say() {
    let world = with_an_old_tag();
    let layout = "\n[archive.layout]\nbins = \"sbin\"\nunits = \"lib/systemd\"\nfiles = \"data\"\n";
    let manifest = world.manifest(layout);
    let text = std::fs::read_to_string(&manifest).unwrap();
    world.manifest_of(&text.replace(
        "source = \"server\"",
        "source = \"server\"\nsection = \"management\"\nroles = [\"server\"]",
    ));
    let plan = world.plan(["--version", "0.9", "--component", "server=old"]);
    let steps = plan["steps"].as_array().unwrap();
    let staged = steps.iter().filter(|step| step["step"] == "stage" && step["component"] == "server");
    let files: Vec<&str> = staged
        .inspect(|step| assert_eq!(step["section"], "management"))
        .flat_map(|step| step["files"].as_array().unwrap())
        .map(|file| file["to"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        ["sbin/legacy", "lib/systemd/legacy.service", "data/docs/one/two.md", "data/notes/server.txt"]
    );
}

#[test]
fn a_recipe_of_a_checkout_that_cannot_be_honoured_is_refused() {
    let world = with_an_old_tag();
    world.server.write("build.toml", "[component.server]\nkind = \"cargo\"\nbinz = [\"server\"]\n");
    world.server.release("odd");
    let refusal = world.refusal(["--version=0.9", "--component=server=odd"]);
    let commit = world.server.head();
    assert!(refusal.contains(&format!("component `server` at {commit}: its own build.toml")), "{refusal}");
    assert!(
        refusal.contains("unknown key `binz` in `[component.server]`; did you mean `bins`?"),
        "{refusal}"
    );
}

#[test]
fn one_source_holds_several_components_at_several_refs() {
    let world = with_an_old_tag();
    let text = "\
[archive]
product = \"solo\"
version = \"1\"
[component.new]
source = \"server\"
kind = \"cargo\"
package = \"server\"
bins = [\"server\"]
stamp = true
[component.old]
source = \"server\"
kind = \"cargo\"
package = \"legacy\"
bins = [\"legacy\"]
[component.docs]
source = \"server\"
kind = \"static\"
files = [\"docs\"]
";
    world.manifest_of(text);
    let packed =
        world.build(["--version=1", "--component=new=0.9fix", "--component=old=old", "--component=docs=old"]);
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
    assert_eq!(packed.run("bin/legacy"), "legacy\n");
    assert_eq!(packed.section("docs"), ["share/docs/one/two.md"]);
}
