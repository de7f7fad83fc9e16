//! A release that pins commits builds those commits, or says why it cannot.

use crate::support::{Repository, World};

/// Writes a release that pins one component and leaves the others to their tags.
fn pin(world: &World, release: &str, component: &str, reference: &str, commit: &str) {
    world.manifest(&format!(
        "\n[release.\"{release}\"]\n{component} = {{ ref = \"{reference}\", commit = \"{commit}\" }}\n"
    ));
}

/// Takes `clone` instead of the world's own server.
fn serve_from(world: &World, clone: &Repository) {
    let manifest = std::fs::read_to_string(world.sources().join("build.toml")).unwrap();
    world.manifest_of(&manifest.replace("\"server\"\nkind", &format!("\"{}\"\nkind", clone.as_str())));
}

#[test]
fn a_moved_tag_is_refused_with_both_commits() {
    let world = World::new();
    let (pinned, moved) = (world.server.head(), world.server.git(["rev-parse", "0.9"]));
    pin(&world, "0.9", "server", "0.9", &pinned);
    let refusal = world.refusal(["--version", "0.9"]);
    assert!(refusal.contains(&pinned) && refusal.contains(&moved), "{refusal}");
    assert!(refusal.contains("the tag `0.9` is at"), "{refusal}");
    assert!(refusal.contains("; move it back, or change the pin"), "{refusal}");
}

#[test]
fn a_clone_without_tags_builds_the_pinned_commit() {
    let world = World::new();
    let commit = world.server.git(["rev-parse", "0.9"]);
    let clone = world.server.clone_to(world.path("no-tags"), &["--no-tags"]);
    assert_eq!(clone.git(["tag"]), "");
    pin(&world, "0.9", "server", "0.9", &commit);
    serve_from(&world, &clone);
    let packed = world.build(["--version", "0.9"]);
    assert_eq!(packed.built_from("server"), ("0.9", commit.as_str()));
    assert_eq!(packed.run("bin/server"), "server of 0.9\n");
    assert_eq!(packed.manifest().version, "0.9");
}

#[test]
fn a_commit_that_no_ref_reaches_any_more_is_still_built() {
    let world = World::new();
    let commit = world.server.release("gone");
    world.server.git(["tag", "--delete", "gone"]);
    world.server.git(["reset", "--quiet", "--hard", "0.9"]);
    pin(&world, "0.9fix", "server", "gone", &commit);
    assert_eq!(world.plan(["--version", "0.9fix"])["components"][2]["commit"], commit.as_str());
}

#[test]
fn a_commit_that_a_shallow_clone_lacks_names_the_remedy() {
    let world = World::new();
    let commit = world.server.git(["rev-parse", "0.9"]);
    let clone = world.server.clone_to(world.path("shallow"), &["--depth=1", "--no-tags"]);
    pin(&world, "0.9", "server", "0.9", &commit);
    serve_from(&world, &clone);
    let remedy = format!("its history is cut short: run git -C {} fetch --unshallow", clone.as_str());
    let refusal = world.refusal(["--version", "0.9"]);
    assert!(refusal.contains(&format!("has no commit {commit}; {remedy}")), "{refusal}");
    let by_its_first_digits = format!("server={}", &commit[..9]);
    let refusal = world.refusal(["--version=0.9fix", "--component", &by_its_first_digits]);
    assert!(refusal.contains(&remedy), "{refusal}");
    clone.git(["fetch", "--quiet", "--unshallow"]);
    assert_eq!(world.plan(["--version", "0.9"])["components"][2]["commit"], commit.as_str());
}

#[test]
fn a_pin_without_a_commit_follows_its_ref() {
    let world = World::new();
    world.manifest("\n[release.\"1.0\"]\nserver = \"0.9\"\nagent = \"main\"\ndashboard = \"worktree\"\n");
    let plan = world.plan(["--version", "1.0"]);
    let references: Vec<&str> =
        plan["components"].as_array().unwrap().iter().map(|one| one["ref"].as_str().unwrap()).collect();
    assert_eq!(references, ["main", "worktree", "0.9"]);
    assert_eq!(plan["version"], "1.0");
}
