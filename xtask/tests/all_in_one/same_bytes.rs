//! The same commits give the same bytes, wherever their repositories lie.

use std::fs;
use std::path::Path;

use crate::support::{Packed, World};

#[test]
fn a_second_clone_elsewhere_gives_the_same_file() {
    let world = World::new();
    let arguments = ["--version=0.9fix", "--component=dashboard=0.9"];
    let here = world.all_in_one(arguments).run().succeeded().file();
    let clones = world.path("a/longer/path/elsewhere");
    for repository in [&world.server, &world.agent, &world.dashboard] {
        repository.clone_to(clones.join(repository.path().file_name().unwrap()), &[]);
    }
    let call = world.all_in_one(arguments).option("--source-root", &clones);
    let there = call.option("--out", &world.path("there")).arguments(["--jobs=1"]).run().succeeded().file();
    assert_ne!(here, there);
    let entries = |file| {
        let entries = Packed::open(file).manifest().entries.clone();
        entries.into_iter().map(|entry| (entry.path.to_string(), entry.sha256)).collect::<Vec<_>>()
    };
    assert_eq!(entries(&here), entries(&there));
    for extension in ["run", "run.sha256", "run.cdx.json", "run.provenance.json"] {
        let read = |file: &Path| fs::read(file.with_extension(extension)).unwrap();
        assert!(read(&here) == read(&there), "{extension} differs");
    }
}
