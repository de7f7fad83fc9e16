//! `pin` writes what a release is made of into the manifest, and a build of the release builds that.

use std::fs;

use crate::support::{MANIFEST, Ran, World, Xtask, shared_cache};

fn pin(world: &World, arguments: &[&str]) -> Ran {
    Xtask::new(["pin"])
        .env("CAIRN_MANIFEST", world.sources().join("build.toml"))
        .env("CAIRN_CACHE", shared_cache())
        .arguments(arguments.iter().copied())
        .run()
}

fn manifest(world: &World) -> String {
    fs::read_to_string(world.sources().join("build.toml")).unwrap()
}

/// A line of a release.
fn line(component: &str, reference: &str, commit: &str) -> String {
    format!("{component} = {{ ref = \"{reference}\", commit = \"{commit}\" }}\n")
}

fn refused(world: &World, arguments: &[&str], sentence: &str) {
    let before = manifest(world);
    let ran = pin(world, arguments);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(sentence), "{}\ndoes not say: {sentence}", ran.stderr);
    assert_eq!(manifest(world), before, "a refusal has changed the manifest");
}

#[test]
fn the_commit_of_each_tree_is_pinned_and_then_built() {
    let world = World::new();
    let (server, dashboard) = (world.server.commit(), world.dashboard.head());
    world.agent.release("1.0");
    let agent = world.agent.head();
    let ran = pin(&world, &["1.0"]).succeeded();
    let expected = [
        "[release.\"1.0\"]\n".to_owned(),
        line("agent", "1.0", &agent),
        line("dashboard", &dashboard[..12], &dashboard),
        line("server", &server[..12], &server),
    ]
    .concat();
    assert_eq!(ran.stdout, expected);
    assert_eq!(manifest(&world), format!("{MANIFEST}\n{expected}"));

    // What comes later is no part of it, even under its name: the tag stands where the pins are committed.
    world.server.write("src/main.rs", "no program\n");
    world.server.release("1.0");
    let packed = world.build(["--version", "1.0"]);
    assert_eq!(packed.built_from("server"), (&server[..12], server.as_str()));
    assert_eq!(packed.built_from("agent"), ("1.0", agent.as_str()));
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
}

#[test]
fn refs_that_are_given_are_pinned_with_their_commits() {
    let world = World::new();
    let (tag, branch) = (world.server.git(["rev-parse", "0.9"]), world.agent.head());
    let digits = format!("--component=dashboard={}", &world.dashboard.git(["rev-parse", "0.9"])[..8]);
    pin(&world, &["1.0", "--component=server=0.9", "--component=agent=main", &digits]).succeeded();
    let text = manifest(&world);
    assert!(text.contains(&line("server", "0.9", &tag)), "{text}");
    assert!(text.contains(&line("agent", &branch[..12], &branch)), "{text}");
    // The branch moves on, and the release is built all the same.
    world.agent.commit();
    let plan = world.plan(["--version", "1.0"]);
    assert_eq!(plan["components"][0]["commit"], branch.as_str());
    assert_eq!(plan["version"], "1.0");
}

#[test]
fn what_nobody_else_could_build_is_refused() {
    let world = World::new();
    world.server.write("new.txt", "new\n");
    let path = world.server.as_str();
    refused(&world, &["1.0"], &format!("component `server`: `{path}` has uncommitted changes"));
    refused(&world, &["1.0"], "commit them, or name a commit with --component server=REF");
    refused(&world, &["1.0", "--component=server=worktree"], "has uncommitted changes");
    refused(&world, &["1.0", "--component=server=0.9fx"], "did you mean `0.9fix`?");
    refused(&world, &["1.0", "--component=sever=0.9"], "did you mean `server`?");
    refused(&world, &["worktree"], "give the release another name");
    pin(&world, &["1.0", "--component=server=0.9"]).succeeded();
}

#[test]
fn a_pin_that_is_there_is_changed_only_on_request() {
    let world = World::new();
    pin(&world, &["1.0"]).succeeded();
    let once = manifest(&world);
    let again = pin(&world, &["1.0"]).succeeded();
    assert!(again.stdout.ends_with("pins 1.0 so already\n"), "{}", again.stdout);
    assert_eq!(manifest(&world), once);

    let (old, new) = (world.server.git(["rev-parse", "0.9fix"]), world.server.git(["rev-parse", "0.9"]));
    let other = ["1.0", "--component=server=0.9"];
    let sentence =
        format!("server to {} at {old}, not 0.9 at {new}; to change that, add --replace", &old[..12]);
    refused(&world, &other, &sentence);
    pin(&world, &[&other[..], &["--replace"]].concat()).succeeded();
    assert_eq!(
        manifest(&world),
        once.replace(&line("server", &old[..12], &old), &line("server", "0.9", &new))
    );
    pin(&world, &["1.1"]).succeeded();
    assert!(
        manifest(&world).contains("[release.\"1.0\"]\n") && manifest(&world).contains("[release.\"1.1\"]\n")
    );
}

#[test]
fn a_source_without_a_tree_here_needs_a_ref() {
    let world = World::new();
    let url = format!("file://{}", world.server.as_str());
    world.manifest_of(&MANIFEST.replace("source = \"server\"", &format!("source = \"{url}\"")));
    refused(&world, &["1.0"], "has no worktree here; name a tag, branch or commit of it");
    pin(&world, &["1.0", "--component=server=0.9"]).succeeded();
    let commit = world.server.git(["rev-parse", "0.9"]);
    assert!(manifest(&world).contains(&line("server", "0.9", &commit)));
}
