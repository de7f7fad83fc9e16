//! What lies around a checkout, around the cache folder, or in the caller's environment does not reach into a build.

use std::fs;
use std::path::Path;

use crate::support::{Packed, World, project};

/// Prints everything that a hostile surrounding could have put into it.
const WITNESS: &str = r#"
fn main() {
    println!("{:?} {:?} {} {}", option_env!("HOSTILE"), option_env!("RUSTFLAGS"), cfg!(hostile), cfg!(debug_assertions));
}
"#;

/// A package that stands alone: no workspace, no build.toml, no toolchain file.
fn with_a_witness() -> World {
    let world = World::new();
    project::program(&world.agent, "agent", "");
    world.agent.write("src/main.rs", WITNESS);
    world.agent.release("witness");
    world
}

/// Fills a folder with all that cargo and rustup would look for on the way up from a checkout.
fn make_hostile(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"no-such-member\"]\n[profile.release]\ndebug-assertions = true\n",
    );
    write("rust-toolchain.toml", "[toolchain]\nchannel = \"no-such-toolchain\"\n");
    write("build.toml", "this is no TOML");
    let config = format!(
        "[env]\nHOSTILE = \"yes\"\n[build]\ntarget-dir = {:?}\nrustflags = [\"--cfg\", \"hostile\"]\n\
         rustc-wrapper = \"/no/such/wrapper\"\n[profile.release]\ndebug-assertions = true\n",
        folder.join("stray-target")
    );
    write(".cargo/config.toml", &config);
}

const UNTOUCHED: &str = "None None false false\n";
const WITNESSED: [&str; 2] = ["--version=0.9fix", "--component=agent=witness"];

#[test]
fn what_lies_above_the_sources_and_the_cache_folder_has_no_influence() {
    let world = with_a_witness();
    make_hostile(&world.path(""));
    let call = world.all_in_one(WITNESSED).option("--cache", &world.path("cache"));
    let packed = Packed::open(&call.current_dir(&world.path("")).run().succeeded().file());
    assert_eq!(packed.run("bin/agent"), UNTOUCHED);
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
    assert!(!world.path("stray-target").exists());
}

#[test]
fn what_the_caller_has_in_its_environment_has_no_influence() {
    let world = with_a_witness();
    let stray = world.path("stray-target");
    let hostile = [
        ("RUSTFLAGS", "--cfg hostile"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fhostile"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
        ("CARGO_BUILD_TARGET", "no-such-target"),
        ("CARGO_TARGET_DIR", stray.to_str().unwrap()),
        ("RUSTC_WRAPPER", "/no/such/wrapper"),
        ("CC", "/no/such/compiler"),
    ];
    let mut call =
        world.all_in_one(WITNESSED).env("RUSTUP_TOOLCHAIN", "no-such-toolchain").env("HOSTILE", "yes");
    for (name, value) in hostile {
        call = call.env(name, value);
    }
    let ran = call.run().succeeded();
    assert_eq!(Packed::open(&ran.file()).run("bin/agent"), UNTOUCHED);
    assert!(!stray.exists());
    let dropped = ran.stderr.lines().find(|line| line.contains("not passed on to builds: ")).unwrap();
    for name in hostile.map(|(name, _)| name).into_iter().chain(["RUSTUP_TOOLCHAIN"]) {
        assert!(dropped.contains(name), "{dropped}");
    }
}

#[test]
fn the_checkouts_own_surroundings_do_have_influence() {
    let world = with_a_witness();
    world.agent.write(".cargo/config.toml", "[env]\nHOSTILE = \"its own\"\n");
    world.agent.write(
        "Cargo.toml",
        &format!("{}[profile.release]\ndebug-assertions = true\n", project::manifest("agent")),
    );
    world.agent.release("own");
    let packed = world.build(["--version=0.9fix", "--component=agent=own"]);
    assert_eq!(packed.run("bin/agent"), "Some(\"its own\") None false true\n");
}

#[test]
fn a_toolchain_file_is_obeyed_at_its_commit() {
    let world = with_a_witness();
    world.agent.write("rust-toolchain.toml", "[toolchain]\nchannel = \"of-its-own\"\n");
    world.agent.release("own");
    let plan = world.plan(["--version=0.9fix", "--component=agent=own"]);
    let compile = plan["steps"].as_array().unwrap().iter().find(|step| step["component"] == "agent").unwrap();
    assert_eq!(compile["channel"], "of-its-own");
}

#[test]
fn a_hook_of_another_repository_may_start_a_build() {
    let world = with_a_witness();
    world.agent.write("src/main.rs", "fn main() {\n    println!(\"not committed\");\n}\n");
    let mut call = world.all_in_one(["--component=dashboard=0.9"]);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"]
    {
        call = call.env(name, world.path("nowhere"));
    }
    let packed = Packed::open(&call.run().succeeded().file());
    assert_eq!(packed.run("bin/agent"), "not committed\n");
    assert_eq!(packed.text("share/web/index.html"), "<h1>0.9</h1>\n");
}
