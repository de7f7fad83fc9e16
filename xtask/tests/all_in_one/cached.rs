//! What was made once is not made again.

use std::fs;

use serde_json::Value;

use crate::support::{Ran, World, in_shared_cache, project};

/// What the steps of one kind found to do, by component where they have one.
fn did(ran: &Ran, kind: &str) -> Vec<(String, Value)> {
    let events = ran.events("step").into_iter().filter(|event| event["step"]["step"] == kind);
    events
        .map(|event| {
            let component = event["step"]["component"].as_str().unwrap_or_default().to_owned();
            (component, event["did"].as_object().unwrap().values().next().unwrap().clone())
        })
        .collect()
}

fn compiled(ran: &Ran) -> Vec<(String, u64)> {
    let units = |did: &Value| did["compiled"].as_u64().unwrap();
    did(ran, "compile").into_iter().map(|(name, did)| (name, units(&did))).collect()
}

/// Whose inventory was taken from the cache.
fn listed(ran: &Ran) -> Vec<(String, bool)> {
    did(ran, "inventory").into_iter().map(|(name, did)| (name, did["cached"].as_bool().unwrap())).collect()
}

/// How many members were compressed anew.
fn compressed(ran: &Ran) -> u64 {
    let members = did(ran, "compress").pop().unwrap().1;
    members["members"].as_u64().unwrap() - members["reused"].as_u64().unwrap()
}

fn build(world: &World, arguments: &[&str]) -> Ran {
    world.all_in_one(arguments.iter().copied()).arguments(["--format=json"]).run().succeeded()
}

/// What was never built on this machine, whose cache is shared: what was is not compressed again.
fn never_before() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

#[test]
fn another_name_or_version_of_the_same_refs_compiles_and_compresses_nothing() {
    let world = World::new();
    let arguments = ["--version=0.9fix", "--component=dashboard=0.9"];
    build(&world, &arguments);
    let now = never_before();
    world.manifest(&format!(
        "\n[release.\"1.0-{now}\"]\nserver = \"0.9fix\"\nagent = \"0.9fix\"\ndashboard = \"0.9\"\n"
    ));
    let (name, version) = (format!("--name=qa{now}"), format!("--version=1.0-{now}"));
    for arguments in [&["--version=0.9fix", "--component=dashboard=0.9", &name][..], &[&version]] {
        let again = build(&world, arguments);
        let nothing = |name: &str| (name.to_owned(), 0);
        assert_eq!(compiled(&again), [nothing("toolchain"), nothing("agent"), nothing("server")]);
        assert!(listed(&again).iter().all(|(_, cached)| *cached), "{}", again.stdout);
        // The list of parts names the product's version.
        assert_eq!(compressed(&again), 1, "{}", again.stdout);
    }
}

#[test]
fn a_change_in_one_component_redoes_that_component_alone() {
    let world = World::new();
    build(&world, &["--version=0.9fix"]);
    project::program(&world.agent, "agent", &format!("changed at {}", never_before()));
    world.agent.release("changed");
    let again = build(&world, &["--version=0.9fix", "--component=agent=changed"]);
    // The agent is one program, in one member, and another one holds the list of parts. The agent's newer time stands in a third
    // one, which is the same whenever this runs.
    assert!((2..=3).contains(&compressed(&again)), "{}", again.stdout);
    let cached = |name: &str, cached: bool| (name.to_owned(), cached);
    assert_eq!(listed(&again), [cached("toolchain", true), cached("agent", false), cached("server", true)]);
    let units = |name: &str, units: u64| (name.to_owned(), units);
    assert_eq!(compiled(&again), [units("toolchain", 0), units("agent", 1), units("server", 0)]);
}

#[test]
fn a_stamp_is_made_anew_when_the_ref_has_another_name() {
    let world = World::new();
    build(&world, &["--version=0.9fix"]);
    world.server.git(["tag", "also", "0.9fix"]);
    let again = build(&world, &["--version=0.9fix", "--component=server=also"]);
    let units = |name: &str, units: u64| (name.to_owned(), units);
    assert_eq!(compiled(&again), [units("toolchain", 0), units("agent", 0), units("server", 1)]);
}

#[test]
fn programs_and_files_of_one_source_at_two_commits_are_not_compiled_again() {
    let world = World::new();
    world.manifest("[component.code]\nsource = \"server\"\nkind = \"static\"\nfiles = [\"src\"]\n");
    let arguments = ["--version=0.9fix", "--component=code=0.9"];
    build(&world, &arguments);
    let again = build(&world, &arguments);
    let none = ["toolchain", "agent", "server"].map(|name| (name.to_owned(), 0));
    assert_eq!(compiled(&again), none);
    let packed = world.build(arguments);
    assert!(
        packed.text("share/src/main.rs").contains("server of 0.9\""),
        "{}",
        packed.text("share/src/main.rs")
    );
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
}

#[test]
fn what_is_missing_or_half_made_in_the_cache_is_made_again() {
    let world = World::new();
    build(&world, &["--version=0.9"]);
    let [mirror, slot] = in_shared_cache(world.server.as_str());
    let slot = slot.join("programs");
    let git_says = |path: &str| fs::read_to_string(slot.join("checkout").join(path)).unwrap();
    assert!(git_says("src/main.rs").contains("server of 0.9"));

    // The mirror goes, and its checkout belongs to nothing.
    fs::remove_dir_all(&mirror).unwrap();
    assert_eq!(world.build(["--version=0.9fix"]).run("bin/server"), "server of 0.9fix\n");
    // The checkout goes.
    fs::remove_dir_all(slot.join("checkout")).unwrap();
    assert_eq!(world.build(["--version=0.9"]).run("bin/server"), "server of 0.9\n");
    // A build was killed while git wrote a ref, an index, and a checkout.
    for lock in ["packed-refs.lock", "refs/heads/main.lock", "worktrees/checkout/index.lock"] {
        fs::write(mirror.join(lock), "").unwrap();
    }
    fs::write(slot.join("checkout/src/main.rs"), "half").unwrap();
    fs::remove_file(slot.join("checkout/Cargo.lock")).unwrap();
    project::stamped(&world.server, "server", "server of main");
    world.server.commit();
    let packed = world.build(["--version=0.9fix", "--component=server=main"]);
    assert_eq!(packed.run("bin/server"), "server of main\n");
}
