//! Every component is built from the commit that was asked for, whatever the user's trees look like, and those trees are
//! only read.

use crate::support::{MANIFEST, Packed, Repository, World, listing};

/// What `--version 0.9fix --component dashboard=0.9 --name qa` has to give.
fn is_the_chosen_mixture(world: &World, packed: &Packed) {
    let manifest = packed.manifest();
    assert_eq!((manifest.product.as_str(), manifest.version.as_str()), ("trio", "0.9fix-qa"));
    let tagged = |repository: &Repository, tag| repository.git(["rev-parse", tag]);
    assert_eq!(packed.built_from("server"), ("0.9fix", tagged(&world.server, "0.9fix").as_str()));
    assert_eq!(packed.built_from("agent"), ("0.9fix", tagged(&world.agent, "0.9fix").as_str()));
    assert_eq!(packed.built_from("dashboard"), ("0.9", tagged(&world.dashboard, "0.9").as_str()));
    assert!(manifest.components.values().all(|component| !component.dirty));
    assert_eq!(packed.component("dashboard").version.as_deref(), Some("0.9"));
    assert_eq!(packed.section("server"), ["bin/server"]);
    assert_eq!(packed.section("agent"), ["bin/agent"]);
    assert_eq!(packed.section("dashboard"), ["share/web/index.html", "share/web/version.json"]);
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
    assert_eq!(packed.run("bin/agent"), "agent of 0.9fix\n");
    assert_eq!(packed.text("share/web/index.html"), "<h1>0.9</h1>\n");
    assert_eq!(packed.text("share/web/version.json"), "{\"version\": \"0.9\"}\n");
}

const MIXTURE: [&str; 6] = ["--version", "0.9fix", "--component", "dashboard=0.9", "--name", "qa"];

#[test]
fn sources_beside_the_manifest_are_built_at_their_tags_and_left_as_they_are() {
    let world = World::new();
    // On another branch, with a staged change, a staged file, a change that is not staged, and a new file.
    world.server.git(["checkout", "--quiet", "-b", "elsewhere", "0.9"]);
    for repository in [&world.server, &world.agent, &world.dashboard] {
        repository.write("staged.txt", "staged\n");
        repository.git(["add", "staged.txt"]);
        repository.write("new.txt", "new\n");
    }
    world.server.write("src/main.rs", "this is no Rust\n");
    world.agent.write("Cargo.toml", "nor is this TOML\n");
    world.agent.git(["add", "Cargo.toml"]);
    world.dashboard.write("web/index.html", "not what was tagged\n");
    world.dashboard.write("web/extra.html", "not tagged at all\n");
    let before = listing(&world.sources());

    let file = world.all_in_one(MIXTURE).run().succeeded().file();

    assert_eq!(file, world.out().join("trio-all-in-one-0.9fix-qa-x86_64.run"));
    is_the_chosen_mixture(&world, &Packed::open(&file));
    assert!(before == listing(&world.sources()), "the sources have changed");
}

#[test]
fn a_source_root_elsewhere_takes_the_place_of_the_manifests_folder() {
    let world = World::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let manifest = elsewhere.path().join("trio.toml");
    std::fs::rename(world.sources().join("build.toml"), &manifest).unwrap();

    let call = world.all_in_one(MIXTURE).option("--source-root", &world.sources());
    let file = call.option("--manifest", &manifest).run().succeeded().file();

    is_the_chosen_mixture(&world, &Packed::open(&file));
}

#[test]
fn a_url_is_a_source() {
    let world = World::new();
    let url = format!("source = \"file://{}\"", world.server.as_str());
    world.manifest_of(&MANIFEST.replace("source = \"server\"", &url));

    let refusal = world.refusal(["--component", "server=worktree"]);
    assert!(refusal.contains("has no worktree here; name a tag, branch or commit of it"), "{refusal}");
    is_the_chosen_mixture(&world, &world.build(MIXTURE));
}
