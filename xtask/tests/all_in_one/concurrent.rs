//! Two builds at once wait for each other, and one that was killed leaves nothing that a later one stumbles over.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};

use crate::support::{Gate, Packed, World, names_beside};

#[test]
fn a_second_build_waits_and_says_for_whom() {
    let world = World::new();
    let gate = Gate::in_package(&world, &world.agent, "agent", "gated");
    world.agent.release("gated");
    let mut first = world.all_in_one(["--version=0.9fix", "--component=agent=gated"]).spawn();
    gate.wait();

    let mut second = world.all_in_one(["--version=0.9", "--name=second"]).spawn();
    let mut told = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let owner = format!("waiting for process {} (all-in-one of 0.9fix) to leave `", first.id());
    assert!(line.starts_with(&owner), "{line}");
    assert!(second.try_wait().unwrap().is_none());

    // A program is told too, in JSON.
    let mut third = world.all_in_one(["--version=0.9", "--name=third", "--format=json", "--dry-run"]).spawn();
    let mut objects = BufReader::new(third.stdout.take().unwrap());
    line.clear();
    objects.read_line(&mut line).unwrap();
    let waiting: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(waiting["event"], "waiting");
    assert_eq!(waiting["for"], format!("process {} (all-in-one of 0.9fix)", first.id()));

    gate.open();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success(), "{rest}");
    objects.read_to_string(&mut rest).unwrap();
    assert!(third.wait().unwrap().success(), "{rest}");
    let packed = |name: &str| Packed::open(&world.out().join(format!("trio-all-in-one-{name}-x86_64.run")));
    assert_eq!(packed("0.9fix").run("bin/agent"), "gated\n");
    assert_eq!(packed("0.9-second").run("bin/agent"), "agent of 0.9\n");
}

#[test]
fn a_build_that_was_killed_leaves_a_cache_that_still_serves() {
    let world = World::new();
    let gate = Gate::in_package(&world, &world.agent, "agent", "gated");
    world.agent.release("gated");
    let arguments = ["--version=0.9fix", "--component=agent=gated"];
    let mut killed = world.all_in_one(arguments).spawn();
    gate.wait();
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success());
    assert!(!world.out().exists(), "half a build has left something where results go");

    // Its cargo is still at work: the next build has to get along with that.
    gate.open();
    let packed = world.build(arguments);
    assert_eq!(packed.run("bin/agent"), "gated\n");
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
}

#[test]
fn what_a_killed_build_left_where_results_go_is_cleared_away() {
    let world = World::new();
    let name = "trio-all-in-one-0.9fix-x86_64.run";
    let left = world.out().join(format!(".{name}.unfinished"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join(name), "half").unwrap();
    fs::write(left.join(".tmp123456"), "less than half").unwrap();
    for extension in ["sha256", "sig", "cdx.json", "provenance.json"] {
        fs::write(world.out().join(format!("{name}.{extension}")), "of an earlier file").unwrap();
    }
    world.build(["--version=0.9fix"]);
    assert_eq!(world.results(), names_beside(name, &["cdx.json", "provenance.json", "sha256"]));
    let left = |name: &String| fs::read(world.out().join(name)).unwrap() == b"of an earlier file";
    assert!(!world.results().iter().any(left));
}
