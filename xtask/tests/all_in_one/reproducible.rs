//! A second build, from nothing and elsewhere, has to make the same bytes; where it does not, it is said where.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Keys, Packed, Ran, Toolchain, World, Xtask, project};

const AGENT: [&str; 3] = ["--version=0.9fix", "--component=agent=odd", "--verify-reproducible"];

/// Makes the agent of the tag `odd` hold what a Rust expression says while it is built.
fn odd_agent(world: &World, expression: &str) {
    let script = format!(
        "fn main() {{\n    let said = {expression};\n    println!(\"cargo:rustc-env=SAID={{said:?}}\");\n}}\n"
    );
    project::program(&world.agent, "agent", "");
    world.agent.write("build.rs", &script);
    world.agent.write("src/main.rs", "fn main() {\n    println!(\"{}\", env!(\"SAID\"));\n}\n");
    world.agent.release("odd");
}

/// The files of two builds that differed.
fn kept(cache: &Path) -> [PathBuf; 2] {
    ["first", "second"].map(|build| {
        let mut files = fs::read_dir(cache.join("again").join(build)).unwrap();
        let is_packed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
        files.find_map(|entry| Some(entry.unwrap().path()).filter(is_packed)).unwrap()
    })
}

fn compare(first: &Path, second: &Path) -> Ran {
    Xtask::new(["compare", first.to_str().unwrap(), second.to_str().unwrap()]).run()
}

#[test]
fn what_both_builds_make_is_published() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    let plain = toolchain.run_by(world.all_in_one(["--version=0.9fix"])).run().succeeded().file();
    let alone = fs::read(&plain).unwrap();
    fs::remove_file(&plain).unwrap();
    let cache = world.path("cache");
    let arguments = ["--version=0.9fix", "--verify-reproducible", "--jobs=1", "--format=json"];
    let ran = toolchain.run_by(world.all_in_one(arguments)).option("--cache", &cache).run().succeeded();
    assert_eq!(ran.file(), plain);
    assert!(fs::read(&plain).unwrap() == alone, "a build that is verified made another file");
    assert_eq!(ran.events("compared")[0]["same"], true);
    assert!(!cache.join("again").exists(), "the second build was left");
    let second: Vec<_> = ran.events("step").into_iter().filter(|step| step["again"] == true).collect();
    let compiled = second.iter().filter(|step| step["did"]["compiled"]["fresh"] == 0).count();
    assert_eq!(compiled, 3, "the second build took something from a cache");
    let ran =
        toolchain.run_by(world.all_in_one(arguments[..2].iter().copied())).option("--cache", &cache).run();
    assert!(ran.succeeded().stderr.contains("\nreproducible: both builds made the same bytes\n"));
}

#[test]
fn what_differs_is_named_and_not_published() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    odd_agent(&world, "std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()");
    let cache = world.path("cache");
    let ran = toolchain.run_by(world.all_in_one(AGENT)).option("--cache", &cache).run();
    world.nothing_came_out(&ran, 7);
    let [first, second] = kept(&cache);
    let contents = [&first, &second].map(|file| Packed::open(file).content("bin/agent"));
    let at = contents[0].iter().zip(&contents[1]).position(|(one, two)| one != two).unwrap();
    let member = Packed::open(&first).manifest().entry("bin/agent").unwrap().member + 1;
    let start =
        format!("  member {member} (section agent), `bin/agent`: differs from byte {at} (0x{at:x}) on: ");
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("differs from byte")).collect();
    let [line] = lines[..] else { panic!("{}", ran.stderr) };
    assert!(line.starts_with(&start), "{line}\ndoes not start with: {start}");
    let [one, two] = contents.map(|content| format!("{:02x}", content[at]));
    assert!(
        line[start.len()..].starts_with(&one) && line.contains(&format!(" in the first, {two}")),
        "{line}"
    );
    assert!(line.ends_with(" in the second"), "{line}");
    let ran = compare(&first, &second);
    assert_eq!(ran.code, Some(7));
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
}

#[test]
fn whatever_is_otherwise_elsewhere_is_otherwise_in_the_second_build() {
    let mode = "{ use std::os::unix::fs::PermissionsExt as _; let path = std::env::var(\"OUT_DIR\").unwrap() + \"/new\"; \
                std::fs::write(&path, \"\").unwrap(); std::fs::metadata(&path).unwrap().permissions().mode() }";
    for (what, expression) in [
        ("time zone", "std::env::var(\"TZ\")"),
        ("locale", "std::env::var(\"LC_ALL\")"),
        ("jobs", "std::env::var(\"NUM_JOBS\")"),
        ("path", "std::env::var(\"CARGO_MANIFEST_DIR\")"),
        ("length of a path", "std::env::var(\"CARGO_MANIFEST_DIR\").map(|path| path.len())"),
        ("umask", mode),
    ] {
        let world = World::new();
        let toolchain = Toolchain::new(&world);
        odd_agent(&world, expression);
        let ran = toolchain.run_by(world.all_in_one(AGENT)).option("--cache", &world.path("cache")).run();
        assert_eq!(ran.code, Some(7), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains("(section agent), `bin/agent`: differs from byte "), "{}", ran.stderr);
        assert!(world.results().is_empty(), "{:?}", world.results());
    }
}

#[test]
fn a_plan_shows_the_second_build() {
    let world = World::new();
    let plan = world.plan(["--version=0.9fix", "--verify-reproducible", "--jobs=3"]);
    let steps = plan["steps"].as_array().unwrap();
    let [.., again, attest, verify] = &steps[..] else { panic!("{plan}") };
    assert_eq!([again, attest, verify].map(|step| &step["step"]), ["again", "attest", "verify"]);
    assert_eq!(again["surroundings"]["jobs"], 2);
}

#[test]
fn packed_files_are_compared_with_what_they_were_built_from() {
    let world = World::new();
    let toolchain = Toolchain::new(&world);
    let keys = Keys::new(&world, "key");
    let build = |arguments: &[&str], out: &str| {
        let call = toolchain.run_by(world.all_in_one(arguments.iter().copied()));
        call.option("--out", &world.path(out)).run().succeeded().file()
    };
    let first = build(&["--version=0.9fix"], "first");
    build(&["--version=0.9fix", "--key", keys.private.to_str().unwrap()], "signed");
    let ran = compare(&first, &world.path("signed")).succeeded();
    assert!(ran.stdout.starts_with("the same: "), "{}", ran.stdout);

    let other = build(&["--version=0.9fix", "--component=dashboard=0.9"], "other");
    let ran = compare(&world.path("first"), &other);
    assert_eq!(ran.code, Some(7));
    for (key, first, second) in [
        ("version", "\"0.9fix\"", "\"0.9fix\""),
        ("components.dashboard.ref", "\"0.9fix\"", "\"0.9\""),
        ("components.dashboard.version", "\"0.9fix\"", "\"0.9\""),
    ] {
        let line =
            format!("member 0, manifest.json: `{key}` is {first} in the first, {second} in the second\n");
        assert_eq!(ran.stderr.contains(&line), first != second, "{line}\n{}", ran.stderr);
    }
    assert!(
        ran.stderr.contains("(section dashboard), `share/web/index.html`: differs from byte 7 (0x7) on: ")
    );
    assert!(!ran.stderr.contains("bin/") && !ran.stderr.contains("sha256"), "{}", ran.stderr);
    let ran = compare(&world.path(""), &first);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("holds 0 packed files; name one"), "{}", ran.stderr);
}
