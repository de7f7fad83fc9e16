//! A package is named after what is in it.

use crate::support::{Toolchain, World, project};

/// Version and file name of a plan.
fn named<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> (String, String) {
    let plan = world.plan(arguments);
    let text = |key: &str| plan[key].as_str().unwrap().to_owned();
    (text("version"), text("file"))
}

/// Writes a release `0.9fix` that pins every component to its tag of that name.
fn pinned() -> World {
    let world = World::new();
    let pin =
        |name: &str, commit: String| format!("{name} = {{ ref = \"0.9fix\", commit = \"{commit}\" }}\n");
    let pins = [
        pin("server", world.server.head()),
        pin("agent", world.agent.head()),
        pin("dashboard", world.dashboard.head()),
    ];
    world.manifest(&format!("\n[release.\"0.9fix\"]\n{}", pins.concat()));
    world
}

#[test]
fn a_component_that_differs_from_its_pin_is_named() {
    let world = pinned();
    let (version, file) = named(&world, ["--version", "0.9fix"]);
    assert_eq!((version.as_str(), file.as_str()), ("0.9fix", "trio-all-in-one-0.9fix-x86_64.run"));
    let (version, file) = named(&world, ["--version", "0.9fix", "--component", "server=0.9"]);
    assert_eq!(version, "0.9fix+server.0.9");
    assert_eq!(file, "trio-all-in-one-0.9fix+server.0.9-x86_64.run");
    let both = ["--version=0.9fix", "--component=server=0.9", "--component=agent=main", "--name=qa"];
    world.agent.commit();
    assert_eq!(named(&world, both).0, "0.9fix+agent.main+server.0.9-qa");
}

#[test]
fn another_name_for_the_pinned_commit_is_no_difference() {
    let world = pinned();
    let commit = world.server.head();
    for name in ["0.9fix", "main", &commit, &commit[..8]] {
        let override_with = format!("server={name}");
        assert_eq!(
            named(&world, ["--version", "0.9fix", "--component", &override_with]).0,
            "0.9fix",
            "{name}"
        );
    }
}

#[test]
fn the_pinned_commit_with_changes_is_a_difference() {
    let world = pinned();
    world.server.write("new.txt", "new\n");
    let (version, _) = named(&world, ["--version", "0.9fix", "--component", "server=worktree"]);
    assert_eq!(version, "0.9fix+server.worktree");
}

#[test]
fn a_branch_name_is_made_to_fit() {
    let world = pinned();
    world.server.git(["checkout", "--quiet", "-b", "feature/x"]);
    project::stamped(&world.server, "server", "of a feature");
    world.server.commit();
    let (version, _) = named(&world, ["--version", "0.9fix", "--component", "server=feature/x"]);
    assert_eq!(version, "0.9fix+server.feature_x");
}

#[test]
fn a_package_without_a_version_is_named_after_the_running_tree() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    let version = |arguments: &[&str]| {
        let call = toolchain.run_by(world.all_in_one(arguments.iter().copied()));
        let ran = call.arguments(["--dry-run", "--format=json"]).run().succeeded();
        ran.events("plan").remove(0)["version"].as_str().unwrap().to_owned()
    };
    let name = format!("0.9-dev.{}", &toolchain.repository.head()[..8]);
    assert_eq!(version(&[]), name);
    world.agent.write("new.txt", "new\n");
    assert_eq!(version(&[]), format!("{name}.dirty"));
    assert_eq!(version(&["--name", "qa"]), format!("{name}.dirty-qa"));
    assert_eq!(version(&["--component", "agent=0.9"]), format!("{name}+agent.0.9"));
}
