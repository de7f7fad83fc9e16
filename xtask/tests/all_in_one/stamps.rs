//! What a program says of itself is compared with what was asked for, before it is packed.

use crate::support::{Packed, World, project};

/// The stamp in a packed program, as text.
fn stamp(packed: &Packed, path: &str) -> String {
    let content = packed.content(path);
    let text = String::from_utf8_lossy(&content);
    let start = text.find("ref=").unwrap();
    text[start..].split('\0').next().unwrap().to_owned()
}

#[test]
fn a_packed_program_says_what_the_manifest_says() {
    let world = World::new();
    let packed = world.build(["--version", "0.9fix"]);
    let (reference, commit) = packed.built_from("server");
    assert_eq!(stamp(&packed, "bin/server"), format!("ref={reference}\ncommit={commit}\ndirty=false\n"));
    world.server.write("new.txt", "new\n");
    let packed = world.build([]);
    assert_eq!(packed.component("server").commit, world.server.head());
    let expected = format!("ref=worktree\ncommit={}\ndirty=true\n", world.server.head());
    assert_eq!(stamp(&packed, "bin/server"), expected);
}

#[test]
fn a_program_that_says_something_else_is_refused() {
    let world = World::new();
    project::stamped_as(&world.server, "server", "liar", "\"0.8\"");
    let commit = world.server.release("lie");
    let ran = world.all_in_one(["--version=0.9fix", "--component=server=lie"]).run();
    world.nothing_came_out(&ran, 2);
    let sentence = format!("says 0.8 {commit}, but lie {commit} was asked for");
    assert!(ran.stderr.contains(&sentence), "{}", ran.stderr);
}

#[test]
fn a_program_without_the_stamp_that_was_promised_is_refused() {
    let world = World::new();
    project::program(&world.server, "server", "no stamp");
    world.server.release("bare");
    let ran = world.all_in_one(["--version=0.9fix", "--component=server=bare"]).run();
    world.nothing_came_out(&ran, 2);
    let sentence = "has no stamp; write stamp = false in its recipe if it is built without one";
    assert!(ran.stderr.contains(sentence), "{}", ran.stderr);
}
