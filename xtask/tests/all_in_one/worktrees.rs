//! Without `--version` the trees are built as they lie there: what is not committed is packed too, what is ignored is not,
//! and reading them leaves no trace.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::support::{MANIFEST, Repository, World, listing};

/// Gives a file a time that git does not know, so that git has to read it.
fn touch(repository: &Repository, path: &str) {
    let file = File::options().write(true).open(repository.path().join(path)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_000_000)).unwrap();
}

#[test]
fn what_is_not_committed_is_packed_and_what_is_ignored_is_not() {
    let world = World::new();
    world.dashboard.write(".gitignore", "*.tmp\n");
    world.dashboard.write("web/old.css", "old\n");
    world.dashboard.write("web/gone.css", "gone\n");
    let committed = world.dashboard.commit();
    world.dashboard.write("web/index.html", "changed\n");
    world.dashboard.write("web/new.js", "new\n");
    world.dashboard.write("web/scratch.tmp", "ignored\n");
    world.dashboard.write("web/staged.js", "staged, and then changed\n");
    world.dashboard.git(["add", "web/staged.js"]);
    world.dashboard.write("web/staged.js", "as it lies there\n");
    world.dashboard.write("web/forced.tmp", "ignored, but staged by force\n");
    world.dashboard.git(["add", "--force", "web/forced.tmp"]);
    world.dashboard.git(["mv", "web/old.css", "web/renamed.css"]);
    std::fs::remove_file(world.dashboard.path().join("web/gone.css")).unwrap();
    let before = listing(&world.sources());

    let packed = world.build([]);

    assert!(packed.component("dashboard").dirty);
    assert_eq!(packed.built_from("dashboard"), ("worktree", committed.as_str()));
    assert!(!packed.component("server").dirty && !packed.component("agent").dirty);
    assert_eq!(
        packed.section("dashboard"),
        [
            "share/web/forced.tmp",
            "share/web/index.html",
            "share/web/new.js",
            "share/web/renamed.css",
            "share/web/staged.js",
            "share/web/version.json",
        ]
    );
    assert_eq!(packed.text("share/web/index.html"), "changed\n");
    assert_eq!(packed.text("share/web/staged.js"), "as it lies there\n");
    assert!(packed.manifest().version.ends_with(".dirty"), "{}", packed.manifest().version);
    assert!(before == listing(&world.sources()), "the sources have changed");
}

#[test]
fn a_change_in_the_second_of_a_commit_is_seen() {
    let world = World::new();
    // What is changed in the second in which git wrote its index has the time that git knows. This is such a second.
    world.dashboard.git(["config", "core.trustctime", "false"]);
    touch(&world.dashboard, "web/index.html");
    world.dashboard.commit();
    world.dashboard.write("web/index.html", "<h1>0.9FIX</h1>\n");
    touch(&world.dashboard, "web/index.html");
    touch(&world.dashboard, ".git/index");

    let plan = world.plan([]);

    let dashboard = &plan["components"][1];
    assert_eq!((&dashboard["name"], &dashboard["dirty"]), (&"dashboard".into(), &true.into()));
}

#[test]
fn a_staged_program_is_built_as_it_lies_there() {
    let world = World::new();
    world.agent.write("src/main.rs", "fn main() {\n    println!(\"staged\");\n}\n");
    world.agent.git(["add", "src/main.rs"]);
    assert_eq!(world.build([]).run("bin/agent"), "staged\n");
}

#[test]
fn files_that_git_has_to_read_again_leave_no_trace_either() {
    let world = World::new();
    world.agent.write("staged.txt", "staged\n");
    world.agent.git(["add", "staged.txt"]);
    touch(&world.agent, "staged.txt");
    touch(&world.dashboard, "web/index.html");
    touch(&world.server, "src/main.rs");
    let before = listing(&world.sources());

    let plan = world.plan([]);

    let dirty = |index: usize| plan["components"][index]["dirty"].as_bool().unwrap();
    assert_eq!([dirty(0), dirty(1), dirty(2)], [true, false, false]);
    assert!(before == listing(&world.sources()), "the sources have changed");
}

#[test]
fn a_linked_worktree_on_another_branch_is_one_too() {
    let world = World::new();
    let linked = world.path("linked");
    world.agent.git(["worktree", "add", "--quiet", "-b", "topic", linked.to_str().unwrap(), "0.9"]);
    let text = MANIFEST.replace("source = \"agent\"", "source = \"../linked\"");
    world.manifest_of(&text);
    let commit = world.agent.git(["rev-parse", "0.9"]);
    assert_eq!(world.plan([])["components"][0]["commit"], commit.as_str());
}
