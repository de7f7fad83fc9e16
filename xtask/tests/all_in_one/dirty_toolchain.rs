//! The script and the helper come from the running tree, so that what has a name is not built from one with changes.

use crate::support::{Packed, Toolchain, World, Xtask};

/// A call as a user makes it, with a running tree of the test's own.
fn call(world: &World, toolchain: &Toolchain, arguments: &[&str]) -> Xtask {
    toolchain.run_by(world.all_in_one(arguments.iter().copied())).env("CAIRN_ALLOW_DIRTY", "false")
}

#[test]
fn a_named_version_is_refused_unless_changes_are_allowed() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    world.manifest("\n[release.\"1.0\"]\nserver = \"0.9\"\nagent = \"0.9\"\ndashboard = \"0.9\"\n");
    for (file, content) in [("packaging/new.sh", "new"), ("packaging/stub.sh", "#!/bin/sh\nexit 1\n")] {
        toolchain.repository.write(file, content);
        for version in ["1.0", "0.9", "main"] {
            for arguments in [&["--version", version][..], &["--version", version, "--dry-run"]] {
                let ran = call(&world, &toolchain, arguments).run();
                world.nothing_came_out(&ran, 1);
                let path = toolchain.repository.as_str();
                let sentence =
                    format!("`{path}` has uncommitted changes, and the script and the helper of `{version}`");
                assert!(ran.stderr.contains(&sentence), "{}", ran.stderr);
                assert!(ran.stderr.ends_with("; commit them, or add --allow-dirty\n"), "{}", ran.stderr);
                assert!(!ran.stderr.contains("compile "), "{}", ran.stderr);
            }
        }
        toolchain.repository.git(["clean", "--quiet", "--force"]);
        toolchain.repository.git(["checkout", "--quiet", "."]);
    }
    toolchain.repository.write("packaging/new.sh", "new\n");
    let allowed = call(&world, &toolchain, &["--version=0.9", "--allow-dirty"]).run().succeeded();
    let packed = Packed::open(&allowed.file());
    assert!(packed.manifest().toolchain.dirty);
    assert_eq!(packed.manifest().version, "0.9");
}

#[test]
fn a_clean_one_builds_it_and_says_so() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    toolchain.repository.write(".gitignore", "ignored\n");
    let commit = toolchain.repository.commit();
    toolchain.repository.write("ignored", "no change\n");
    let packed = Packed::open(&call(&world, &toolchain, &["--version=0.9"]).run().succeeded().file());
    assert!(!packed.manifest().toolchain.dirty);
    assert_eq!(packed.manifest().toolchain.commit, commit);
}

#[test]
fn a_build_without_a_name_says_in_its_version_that_there_are_changes() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    let plan = |arguments: &[&str]| {
        let ran = call(&world, &toolchain, arguments).arguments(["--dry-run", "--format=json"]);
        ran.run().succeeded().events("plan").remove(0)["version"].as_str().unwrap().to_owned()
    };
    let clean = format!("0.9-dev.{}", &toolchain.repository.head()[..8]);
    assert_eq!(plan(&[]), clean);
    toolchain.repository.write("packaging/new.sh", "new\n");
    assert_eq!(plan(&[]), format!("{clean}.dirty"));
    let components = ["--component=server=0.9", "--component=agent=0.9", "--component=dashboard=0.9"];
    assert_eq!(plan(&components), format!("{clean}.dirty+agent.0.9+dashboard.0.9+server.0.9"));
}
