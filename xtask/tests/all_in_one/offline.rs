//! What `fetch` has brought is enough for a build where there is no network; what is missing is named with what brings it.
//!
//! The builds run in a network namespace in which not even the loopback device is up.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::support::{MANIFEST, Packed, Ran, Reply, Repository, Server, Toolchain, World, Xtask, project};

const VERSION: [&str; 1] = ["--version=0.9fix"];

/// A world that needs three things from elsewhere: a server from a URL, a crate for the agent, and a bundled file.
struct Elsewhere {
    world: World,
    toolchain: Toolchain,
    dependency: Repository,
    web: Server,
    sha256: String,
}

impl Elsewhere {
    fn new() -> Self {
        let world = World::new();
        let toolchain = Toolchain::new(&world);
        let dependency = Repository::init(world.path("dependency"));
        dependency.write("Cargo.toml", &project::manifest("dependency"));
        dependency.write("src/lib.rs", "pub const WORD: &str = \"from a crate\";\n");
        let commit = dependency.commit();
        let url = format!("file://{}", dependency.as_str());
        project::program(&world.agent, "agent", "");
        let manifest =
            format!("{}[dependencies]\ndependency = {{ git = \"{url}\" }}\n", project::manifest("agent"));
        world.agent.write("Cargo.toml", &manifest);
        world.agent.write(
            "Cargo.lock",
            &format!(
                "version = 4\n\n[[package]]\nname = \"agent\"\nversion = \"0.1.0\"\ndependencies = [\n \"dependency\",\n]\n\n\
                 [[package]]\nname = \"dependency\"\nversion = \"0.1.0\"\nsource = \"git+{url}#{commit}\"\n"
            ),
        );
        world.agent.write("src/main.rs", "fn main() {\n    println!(\"{}\", dependency::WORD);\n}\n");
        world.agent.release("0.9fix");
        let content = format!("a bundled file of {}", world.path("").display()).into_bytes();
        let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let web = Server::start(content, &[Reply::Asked]);
        let server = format!("source = \"file://{}\"", world.server.as_str());
        let bundle =
            format!("\n[bundle.extra]\nurl = \"{}\"\nsha256 = \"{sha256}\"\nto = \"lib/extra\"\n", web.url);
        world.manifest_of(&(MANIFEST.replace("source = \"server\"", &server) + &bundle));
        Self { world, toolchain, dependency, web, sha256 }
    }

    fn cache(&self) -> PathBuf {
        self.world.path("cache")
    }

    fn cargo_home(&self) -> PathBuf {
        self.world.path("cargo-home")
    }

    fn call(&self, call: Xtask) -> Xtask {
        self.toolchain.run_by(call).env("CAIRN_CACHE", self.cache()).env("CARGO_HOME", self.cargo_home())
    }

    fn fetch(&self, arguments: &[&str]) -> Xtask {
        let manifest = self.world.sources().join("build.toml");
        let fetch = Xtask::new(["fetch"]).env("CAIRN_MANIFEST", manifest);
        let fetch = fetch.env("CAIRN_NATIVE", "true");
        self.call(fetch.arguments(VERSION).arguments(arguments.iter().copied()))
    }

    /// A build where there is no network.
    fn offline(&self, arguments: &[&str]) -> Ran {
        let call = self.world.all_in_one(VERSION).arguments(arguments.iter().copied());
        self.call(call).arguments(["--offline"]).without_network().run()
    }

    fn misses(&self, arguments: &[&str], sentence: &str) {
        let ran = self.offline(arguments);
        self.world.nothing_came_out(&ran, 3);
        assert!(ran.stderr.contains(sentence), "{}\ndoes not say: {sentence}", ran.stderr);
        let words = arguments.join(" ").replace("--component=", " --component ");
        let remedy = format!("; run cargo xtask fetch --version 0.9fix{words} --native --manifest ");
        assert!(ran.stderr.contains(&remedy), "{}\ndoes not say: {remedy}", ran.stderr);
    }
}

#[test]
fn what_was_fetched_is_enough() {
    let elsewhere = Elsewhere::new();
    let said = elsewhere.fetch(&[]).run().succeeded().stderr;
    assert!(said.contains("fetch the crates of agent (toolchain ") && !said.contains("compile "), "{said}");
    // What was elsewhere is gone besides, so that nothing but what was fetched can have been used.
    fs::remove_dir_all(elsewhere.dependency.path()).unwrap();
    fs::rename(elsewhere.world.server.path(), elsewhere.world.path("moved")).unwrap();
    let ran = elsewhere.offline(&["--verify-reproducible"]).succeeded();
    let packed = Packed::open(&ran.file());
    assert_eq!(packed.run("bin/agent"), "from a crate\n");
    assert_eq!(packed.run("bin/server"), "server of 0.9fix\n");
    assert!(packed.text("lib/extra").starts_with("a bundled file of "));
    assert_eq!(elsewhere.web.requests().len(), 1);
    fs::rename(elsewhere.world.path("moved"), elsewhere.world.server.path()).unwrap();
}

#[test]
fn what_was_not_fetched_is_named() {
    let elsewhere = Elsewhere::new();
    let url = format!("file://{}", elsewhere.world.server.as_str());
    elsewhere.misses(&[], &format!("component `server`: offline, and `{url}` was never fetched"));
    elsewhere.fetch(&[]).run().succeeded();

    let commit = elsewhere.world.server.release("later");
    for reference in ["later", &commit] {
        let later = format!("--component=server={reference}");
        let sentence = format!("when `{url}` was last fetched it had no tag, branch or commit `{reference}`");
        elsewhere.misses(&[&later], &sentence);
    }
    elsewhere.fetch(&["--component=server=later"]).run().succeeded();
    fs::remove_dir_all(elsewhere.world.out()).unwrap_or_default();
    elsewhere.offline(&["--component=server=later"]).succeeded();
    fs::remove_dir_all(elsewhere.world.out()).unwrap();

    fs::remove_dir_all(elsewhere.cargo_home()).unwrap();
    elsewhere.misses(&[], "offline, and cargo cannot read component `agent`");
    fs::remove_file(elsewhere.cache().join("bundles").join(&elsewhere.sha256)).unwrap();
    elsewhere.misses(
        &[],
        &format!("offline, and bundle `extra` from `{}` is not in the cache", elsewhere.web.url),
    );
}

#[test]
fn without_the_option_a_build_does_use_the_network() {
    let elsewhere = Elsewhere::new();
    elsewhere.fetch(&[]).run().succeeded();
    fs::remove_file(elsewhere.cache().join("bundles").join(&elsewhere.sha256)).unwrap();
    let ran = elsewhere.call(elsewhere.world.all_in_one(VERSION)).without_network().run();
    elsewhere.world.nothing_came_out(&ran, 7);
    assert!(ran.stderr.contains("cannot fetch bundle `extra`"), "{}", ran.stderr);
}
