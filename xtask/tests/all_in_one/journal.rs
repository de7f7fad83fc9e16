//! What is done is what was planned, step for step, and the last words name what came out.

use std::process::Command;

use serde_json::Value;

use crate::support::{MANIFEST, Packed, World, names_beside};

fn steps(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["step"].clone()).collect()
}

#[test]
fn the_journal_of_a_build_is_its_plan() {
    let world = World::new();
    let arguments = ["--version=0.9fix", "--component=dashboard=0.9"];
    let plan = world.plan(arguments);
    let ran = world.all_in_one(arguments).arguments(["--format=json"]).run().succeeded();
    let journal = ran.events("step");
    assert_eq!(ran.events("plan"), std::slice::from_ref(&plan));
    assert_eq!(Value::from(steps(&journal)), plan["steps"]);
    assert!(journal.iter().all(|event| event["state"] == "done"));
    assert_eq!(ran.stderr, "", "programs are spoken to in JSON alone");
}

#[test]
fn the_last_object_names_the_file_its_size_and_its_digest() {
    let world = World::new();
    let ran = world.all_in_one(["--version=0.9fix", "--format=json"]).run().succeeded();
    let result = ran.objects().pop().unwrap();
    let file = world.out().join("trio-all-in-one-0.9fix-x86_64.run");
    assert_eq!(result["event"], "result");
    assert_eq!(result["file"], file.to_str().unwrap());
    assert_eq!(result["size"], std::fs::metadata(&file).unwrap().len());
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "trio-all-in-one-0.9fix-x86_64.run.sha256"]).current_dir(world.out());
    assert!(check.output().unwrap().status.success());
    let beside = std::fs::read_to_string(file.with_extension("run.sha256")).unwrap();
    assert_eq!(result["sha256"], beside.split_once(' ').unwrap().0);
    let packed = Packed::open(&file);
    for component in result["components"].as_array().unwrap() {
        let name = component["name"].as_str().unwrap();
        let told = (component["ref"].as_str().unwrap(), component["commit"].as_str().unwrap());
        assert_eq!(packed.built_from(name), told);
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(world.results(), names_beside(name, &["cdx.json", "provenance.json", "sha256"]));
}

#[test]
fn people_are_told_the_same_in_the_last_line() {
    let world = World::new();
    let quiet = world.all_in_one(["--version=0.9fix", "--quiet"]).run().succeeded();
    let file = world.out().join("trio-all-in-one-0.9fix-x86_64.run");
    let size = std::fs::metadata(&file).unwrap().len();
    let beside = std::fs::read_to_string(file.with_extension("run.sha256")).unwrap();
    let sha256 = beside.split_once(' ').unwrap().0;
    assert_eq!(quiet.stdout, format!("{} {size} bytes sha256 {sha256}\n", file.display()));
    assert_eq!(quiet.stderr, "");
}

#[test]
fn the_journal_of_a_failure_ends_with_the_step_that_failed() {
    let world = World::new();
    world.server.write("src/main.rs", "fn main() {\n    let broken = ;\n}\n");
    world.server.release("broken");
    let arguments = ["--version=0.9fix", "--component=server=broken"];
    let plan = world.plan(arguments);
    let ran = world.all_in_one(arguments).arguments(["--format=json"]).run();
    world.nothing_came_out(&ran, 7);
    let journal = ran.events("step");
    let planned = plan["steps"].as_array().unwrap();
    assert!(planned.starts_with(&steps(&journal)), "{}", ran.stdout);
    let (last, done) = journal.split_last().unwrap();
    assert!(done.iter().all(|event| event["state"] == "done"));
    assert_eq!((&last["state"], &last["step"]["step"]), (&"failed".into(), &"compile".into()));
    assert_eq!(last["step"]["component"], "server");
    assert!(ran.events("result").is_empty());
    for words in ["failed: compile server", "expected expression, found `;`", "src/main.rs:2:18"] {
        assert!(ran.stderr.contains(words), "{}\ndoes not say: {words}", ran.stderr);
    }
    // What was packed before under that name stays as it was.
    let file = world.all_in_one(["--version=0.9fix"]).run().succeeded().file();
    let before = std::fs::read(&file).unwrap();
    assert_eq!(world.all_in_one(arguments).run().code, Some(7));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_program_that_the_package_does_not_have_fails_with_its_name() {
    let world = World::new();
    world.manifest_of(&MANIFEST.replace("bins = [\"agent\"]", "bins = [\"agnet\"]"));
    let ran = world.all_in_one(["--version", "0.9"]).run();
    world.nothing_came_out(&ran, 7);
    assert!(ran.stderr.contains("no bin target named `agnet`"), "{}", ran.stderr);
    let package = "kind = \"cargo\"\npackage = \"agnt\"\nbins = [\"agent\"]";
    world.manifest_of(&MANIFEST.replace("kind = \"cargo\"\nbins = [\"agent\"]", package));
    let ran = world.all_in_one(["--version", "0.9"]).run();
    world.nothing_came_out(&ran, 7);
    assert!(ran.stderr.contains("has no package `agnt`; did you mean `agent`?"), "{}", ran.stderr);
}
