//! A running tree of the test's own: this one's script and toolchain, and a helper that compiles in a moment. It stands in
//! where the helper is built anew, or where the state of the running tree is what a test is about.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Repository, World, Xtask, project};

/// The tree, committed.
pub struct Toolchain {
    /// Its repository.
    pub repository: Repository,
    temporary: PathBuf,
}

impl Toolchain {
    /// A new one in a world's folder.
    pub fn new(world: &World) -> Self {
        let repository = Repository::init(world.path("toolchain"));
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for file in
            ["packaging/stub.sh", "packaging/install.sh", "packaging/uninstall.sh", "rust-toolchain.toml"]
        {
            repository.write(file, &fs::read_to_string(own.join(file)).unwrap());
        }
        // The script asks the helper whether it runs, and takes its word for the rest.
        project::stamped(&repository, "cairnctl", "runs");
        let profile = "[profile.helper]\ninherits = \"release\"\n";
        repository.write("Cargo.toml", &format!("{}{profile}", project::manifest("cairnctl")));
        repository.write("xtask/README", "the folder that a running tree is known by\n");
        repository.commit();
        let temporary = world.path("temporary");
        fs::create_dir_all(&temporary).unwrap();
        Self { repository, temporary }
    }

    /// Makes it the running tree of a call.
    pub fn run_by(&self, call: Xtask) -> Xtask {
        call.env("CARGO_MANIFEST_DIR", self.repository.path().join("xtask")).env("TMPDIR", &self.temporary)
    }
}
