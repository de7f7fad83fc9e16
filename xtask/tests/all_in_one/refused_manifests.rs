//! A manifest that says something which cannot be done is refused before anything is built.

use crate::support::{MANIFEST, World};

fn says(refusal: &str, sentence: &str) {
    assert!(refusal.contains(sentence), "{refusal}\ndoes not say: {sentence}");
}

#[test]
fn a_misspelt_key_names_the_nearest() {
    let world = World::new();
    for (more, sentence) in [
        ("pakage = \"x\"\n", "unknown key `pakage` in `[component.dashboard]`; did you mean `package`?"),
        ("[componnent.x]\n", "unknown key `componnent`; did you mean `component`?"),
        ("[archive.layuot]\n", "unknown key `layuot` in `[archive]`; did you mean `layout`?"),
        ("[release.\"1\"]\nagnt = \"1\"\n", "there is no component `agnt`; did you mean `agent`?"),
        ("[bundle.b]\nsha265 = \"\"\n", "unknown key `sha265` in `[bundle.b]`; did you mean `sha256`?"),
    ] {
        world.manifest(more);
        says(&world.refusal([]), sentence);
    }
}

#[test]
fn a_component_without_a_recipe_is_refused() {
    let world = World::new();
    world.manifest("[component.extra]\nsource = \"agent\"\n");
    let refusal = world.refusal(["--version", "0.9"]);
    says(&refusal, "component `extra` at ");
    says(&refusal, "there is no recipe; add `kind` to `[component.extra]`, here or in its own build.toml");
}

#[test]
fn a_symbolic_link_is_not_packed() {
    let world = World::new();
    std::os::unix::fs::symlink("/etc/passwd", world.dashboard.path().join("web/link.html")).unwrap();
    world.dashboard.release("linked");
    let refusal = world.refusal(["--version=0.9", "--component=dashboard=linked"]);
    says(&refusal, "component `dashboard`");
    says(&refusal, "`web/link.html` is a symbolic link; pack what it points to instead");
    // Also where it is not committed.
    says(&world.refusal([]), "`web/link.html` is a symbolic link");
}

#[test]
fn a_path_belongs_to_one_component() {
    let world = World::new();
    world.manifest(
        "[component.panel]\nsource = \"dashboard\"\nkind = \"static\"\nfiles = [\"web/index.html\"]\n",
    );
    world.plan(["--version", "0.9"]);
    world.manifest("[component.panel]\nsource = \"dashboard\"\nkind = \"static\"\nfiles = [\"web\"]\n");
    let refusal = world.refusal(["--version", "0.9"]);
    says(&refusal, "`share/web/index.html` is brought by dashboard and by panel; rename one of them");
    let file_in_place_of_a_folder = "[component.panel]\nsource = \"dashboard\"\nkind = \"static\"\n\
                                     files = [{ from = \"web/index.html\", to = \"web\" }]\n";
    world.manifest(file_in_place_of_a_folder);
    let refusal = world.refusal(["--version", "0.9"]);
    says(&refusal, "`share/web` of panel is a file, and others lie in it; rename one of them");
}

#[test]
fn a_recipe_names_what_the_commit_has() {
    let world = World::new();
    for (files, sentence) in [
        ("files = [\"wib\"]", "there is no `wib`; mend its recipe"),
        ("files = [\"../server\"]", "the path `../server` is absolute, or holds an empty part, `.` or `..`"),
    ] {
        world.manifest_of(&MANIFEST.replace("files = [\"web\"]", files));
        says(&world.refusal(["--version", "0.9"]), sentence);
    }
}

#[test]
fn a_program_without_a_lock_file_is_refused() {
    let world = World::new();
    world.agent.git(["rm", "--quiet", "Cargo.lock"]);
    world.agent.release("unlocked");
    let refusal = world.refusal(["--version=0.9", "--component=agent=unlocked"]);
    says(&refusal, "there is no Cargo.lock, so that nobody can say what it is built from; commit it");
}

#[test]
fn a_source_is_a_repository_of_its_own() {
    let world = World::new();
    let inside = MANIFEST.replace("source = \"dashboard\"", "source = \"dashboard/web\"");
    world.manifest_of(&inside);
    let refusal = world.refusal(["--version", "0.9"]);
    says(&refusal, "is no git repository, but a folder of the one at");
    world.manifest_of(&MANIFEST.replace("source = \"dashboard\"", "source = \"dashbord\""));
    says(&world.refusal(["--version", "0.9"]), "there is no folder");
    std::fs::create_dir(world.sources().join("empty")).unwrap();
    world.manifest_of(&MANIFEST.replace("source = \"dashboard\"", "source = \"empty\""));
    says(&world.refusal(["--version", "0.9"]), "is in no git repository");
}
