//! Files of others are packed only if they are what the manifest says, and fetched no more than once.

use sha2::{Digest as _, Sha256};

use packaging_archive::Mode;

use crate::support::{Packed, Reply, Server, World, shared_cache};

const HALF: usize = 4096;

/// Bytes that do not repeat, and that no other test bundles: the cache knows files by their digest.
fn content(name: &str) -> Vec<u8> {
    let blocks = (0..HALF as u32 * 2 / 32).map(|block| Sha256::digest(format!("{name} {block}")));
    let own = format!("{name} of {}", std::process::id());
    own.into_bytes().into_iter().chain(blocks.flatten()).collect()
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bundle(world: &World, place: &str, sha256: &str, more: &str) {
    world.manifest(&format!(
        "\n[bundle.extra]\n{place}\nsha256 = \"{sha256}\"\nto = \"lib/extra.bin\"\n{more}\n"
    ));
}

/// Builds with a bundle from `server`, in a fresh cache of bundles.
fn packed_from(server: &Server, world: &World, content: &[u8]) -> Packed {
    bundle(world, &format!("url = \"{}\"", server.url), &hex(content), "");
    let packed = world.build(["--version", "0.9"]);
    assert!(packed.content("lib/extra.bin") == content, "another file was packed");
    packed
}

fn kept(sha256: &str) -> bool {
    let bundles = shared_cache().join("bundles");
    [sha256.to_owned(), format!("{sha256}.part")].iter().any(|name| bundles.join(name).exists())
}

fn forget(content: &[u8]) {
    let _ = std::fs::remove_file(shared_cache().join("bundles").join(hex(content)));
}

#[test]
fn a_file_beside_the_manifest_is_packed() {
    let world = World::new();
    let content = content("beside");
    std::fs::create_dir(world.sources().join("third-party")).unwrap();
    std::fs::write(world.sources().join("third-party/extra.bin"), &content).unwrap();
    bundle(
        &world,
        "path = \"third-party/extra.bin\"",
        &hex(&content),
        "executable = true\nroles = [\"agent\"]",
    );
    let packed = world.build(["--version", "0.9"]);
    assert!(packed.content("lib/extra.bin") == content);
    assert_eq!(packed.section("extra"), ["lib/extra.bin"]);
    let dry = world.all_in_one(["--version", "0.9", "--dry-run"]).run().succeeded();
    assert!(dry.stderr.contains("\n  extra states no license"), "{}", dry.stderr);
    let entry = packed.manifest().entry("lib/extra.bin").unwrap();
    assert_eq!((entry.mode, entry.section.as_str()), (Mode::Executable, "extra"));
    let section = packed.manifest().sections.iter().find(|section| section.name == "extra").unwrap();
    assert_eq!(section.roles, ["agent"]);
    forget(&content);
}

#[test]
fn a_file_that_is_not_there_names_its_path() {
    let world = World::new();
    bundle(&world, "path = \"third-party/extra.bin\"", &"0".repeat(64), "");
    let ran = world.all_in_one(["--version", "0.9"]).run();
    world.nothing_came_out(&ran, 1);
    let sentence =
        format!("cannot read bundle `extra` at `{}/third-party/extra.bin`", world.sources().display());
    assert!(ran.stderr.contains(&sentence), "{}", ran.stderr);
}

#[test]
fn a_url_is_asked_once() {
    let world = World::new();
    let content = content("once");
    let server = Server::start(content.clone(), &[Reply::Asked]);
    let packed = packed_from(&server, &world, &content);
    assert_eq!(packed.manifest().entry("lib/extra.bin").unwrap().mode, Mode::File);
    packed_from(&server, &world, &content);
    let requests: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(requests, [None]);
    forget(&content);
}

#[test]
fn a_transfer_that_was_cut_off_is_continued_where_it_ended() {
    let world = World::new();
    let content = content("cut");
    let server = Server::start(content.clone(), &[Reply::Cut(HALF), Reply::Cut(10), Reply::Asked]);
    packed_from(&server, &world, &content);
    let requests: Vec<_> = server.requests().iter().map(|request| (request.from, request.sent)).collect();
    let rest = content.len() - HALF - 10;
    assert_eq!(requests, [(None, HALF), (Some(HALF), 10), (Some(HALF + 10), rest)]);
    forget(&content);
}

#[test]
fn what_arrived_before_a_failure_is_kept_for_the_next_build() {
    let world = World::new();
    let content = content("failure");
    let server = Server::start(content.clone(), &[Reply::Cut(HALF), Reply::Missing, Reply::Asked]);
    bundle(&world, &format!("url = \"{}\"", server.url), &hex(&content), "");
    let ran = world.all_in_one(["--version", "0.9"]).run();
    world.nothing_came_out(&ran, 7);
    assert!(ran.stderr.contains("what arrived is kept, build again to continue"), "{}", ran.stderr);
    packed_from(&server, &world, &content);
    assert_eq!(server.requests().last().unwrap().sent, content.len() - HALF);
    forget(&content);
}

#[test]
fn a_server_that_cannot_continue_is_asked_for_everything() {
    let world = World::new();
    let content = content("whole");
    let server = Server::start(content.clone(), &[Reply::Cut(HALF), Reply::Whole, Reply::Whole]);
    packed_from(&server, &world, &content);
    let requests: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(requests, [None, Some(HALF), None]);
    forget(&content);
}

#[test]
fn another_file_is_refused_with_both_digests_and_not_kept() {
    let world = World::new();
    let content = content("other");
    let server = Server::start(content.clone(), &[Reply::Asked]);
    let expected = hex(b"what was expected");
    bundle(&world, &format!("url = \"{}\"", server.url), &expected, "");
    let ran = world.all_in_one(["--version", "0.9"]).run();
    world.nothing_came_out(&ran, 2);
    assert!(ran.stderr.contains(&expected) && ran.stderr.contains(&hex(&content)), "{}", ran.stderr);
    assert!(ran.stderr.contains("; find out which is right before you change either"), "{}", ran.stderr);
    assert!(!kept(&expected) && !kept(&hex(&content)));
}

#[test]
fn the_beginning_of_another_file_is_not_continued_for_good() {
    let world = World::new();
    let (old, content) = (content("old"), content("new"));
    let bundles = shared_cache().join("bundles");
    std::fs::create_dir_all(&bundles).unwrap();
    std::fs::write(bundles.join(format!("{}.part", hex(&content))), &old[..HALF]).unwrap();
    let server = Server::start(content.clone(), &[Reply::Asked, Reply::Asked]);
    packed_from(&server, &world, &content);
    let requests: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(requests, [Some(HALF), None]);
    forget(&content);
}
