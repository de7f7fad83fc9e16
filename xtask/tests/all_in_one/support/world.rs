//! A folder with three repositories side by side and a manifest that packs them, as a product has them.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::project::{program, stamped};
use super::{Packed, Ran, Repository, Xtask};

/// What the manifest says where a test does not say more.
pub const MANIFEST: &str = r#"
[archive]
product = "trio"
version = "0.9"

[component.server]
source = "server"
kind = "cargo"
bins = ["server"]
stamp = true

[component.agent]
source = "agent"
kind = "cargo"
bins = ["agent"]

[component.dashboard]
source = "dashboard"
kind = "static"
files = ["web"]
version-file = "web/version.json"
"#;

/// The folder. Everything in it, and what the shared cache holds of it, is gone at the end.
pub struct World {
    folder: TempDir,
    /// A stamped program.
    pub server: Repository,
    /// A program without a stamp.
    pub agent: Repository,
    /// Files.
    pub dashboard: Repository,
}

impl World {
    /// Three repositories with the tags `0.9` and `0.9fix`, standing on `0.9fix`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at =
            |name: &str| Repository::init(folder.path().canonicalize().unwrap().join("sources").join(name));
        let (server, agent, dashboard) = (at("server"), at("agent"), at("dashboard"));
        let world = Self { folder, server, agent, dashboard };
        for version in ["0.9", "0.9fix"] {
            stamped(&world.server, "server", &format!("server of {version}"));
            world.server.release(version);
            program(&world.agent, "agent", &format!("agent of {version}"));
            world.agent.release(version);
            world.dashboard.write("web/index.html", &format!("<h1>{version}</h1>\n"));
            world.dashboard.write("web/version.json", &format!("{{\"version\": \"{version}\"}}\n"));
            world.dashboard.release(version);
        }
        world.manifest("");
        world
    }

    /// Writes the manifest beside the repositories, with more at its end.
    pub fn manifest(&self, more: &str) -> PathBuf {
        self.manifest_of(&format!("{MANIFEST}{more}"))
    }

    /// Writes the manifest beside the repositories.
    pub fn manifest_of(&self, text: &str) -> PathBuf {
        let path = self.sources().join("build.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// The folder of the repositories and the manifest.
    pub fn sources(&self) -> PathBuf {
        self.path("sources")
    }

    /// Where results go.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// A call of `all-in-one` with the manifest, the result's folder and the shared cache. They are given as variables,
    /// which an option overrides. The running tree may have changes: it is the one that people work on. What is built is for this
    /// machine alone, which takes no tools that it may lack.
    pub fn all_in_one<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Xtask {
        Xtask::new(["all-in-one"])
            .env("CAIRN_MANIFEST", self.sources().join("build.toml"))
            .env("CAIRN_OUT", self.out())
            .env("CAIRN_CACHE", shared_cache())
            .env("CAIRN_ALLOW_DIRTY", "true")
            .env("CAIRN_NATIVE", "true")
            .arguments(arguments)
    }

    /// Builds, and opens what came out.
    pub fn build<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Packed {
        Packed::open(&self.all_in_one(arguments).run().succeeded().file())
    }

    /// Calls `all-in-one`, which has to refuse with exit code 1 before anything is planned, and gives what it says.
    pub fn refusal<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let ran = self.all_in_one(arguments).run();
        self.nothing_came_out(&ran, 1);
        assert!(!ran.stderr.contains("compile "), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        ran.stderr
    }

    /// Plans, and gives the plan.
    pub fn plan<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> serde_json::Value {
        let ran = self.all_in_one(arguments).arguments(["--dry-run", "--format", "json"]).run().succeeded();
        assert!(!self.out().exists(), "a plan has built something");
        ran.events("plan").remove(0)
    }

    /// Names of everything that lies where results go.
    pub fn results(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out()).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Makes sure that a call failed with this code and left nothing where results go.
    pub fn nothing_came_out(&self, ran: &Ran, code: i32) {
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(self.results().is_empty(), "{:?}", self.results());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut open = vec![self.path("")];
        while let Some(folder) = open.pop() {
            if folder.join(".git").exists() {
                let source = folder.to_string_lossy();
                forget(&source);
                forget(&format!("file://{source}"));
                continue;
            }
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()));
        }
    }
}

/// Names of a packed file and of what lies beside it, in order.
pub fn names_beside(name: &str, extensions: &[&str]) -> Vec<String> {
    [name.to_owned()].into_iter().chain(extensions.iter().map(|end| format!("{name}.{end}"))).collect()
}

/// The cache that all tests share.
pub fn shared_cache() -> PathBuf {
    std::env::var_os("CAIRN_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-cache"),
        PathBuf::from,
    )
}

/// A source's mirror, and its checkout with what was compiled from it. They are called after a digest of its name.
pub fn in_shared_cache(source: &str) -> [PathBuf; 2] {
    let digest = Sha256::digest(source.as_bytes());
    let digest: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    ["mirrors", "target/package"].map(|folder| {
        let folder = shared_cache().join(folder);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let found = entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains(&digest));
        found.unwrap_or(folder.join(digest.as_str()))
    })
}

/// Removes what the shared cache holds of a source.
fn forget(source: &str) {
    for folder in in_shared_cache(source) {
        let _ = fs::remove_dir_all(folder);
    }
}
