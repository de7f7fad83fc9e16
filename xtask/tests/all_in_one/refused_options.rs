//! What is asked for and does not exist is refused with the nearest name: nothing is built, and nothing is guessed.

use crate::support::{MANIFEST, Repository, World, Xtask};

/// Two commits whose names begin with the same seven digits: those with this tree, these dates and these messages.
const TWINS: [(&str, &str); 2] = [
    ("21303", "c5340e27bf3ac6ab4a8c4c43e70aee9f7d27d414"),
    ("26027", "c5340e26f5eb61a6d3174a43e49f928c0b9d8058"),
];

fn says(refusal: &str, sentence: &str) {
    assert!(refusal.contains(sentence), "{refusal}\ndoes not say: {sentence}");
}

#[test]
fn an_unknown_component_names_the_nearest() {
    let world = World::new();
    let refusal = world.refusal(["--version", "0.9fix", "--component", "agnt=0.9"]);
    says(&refusal, "there is no component `agnt`; did you mean `agent`?");
}

#[test]
fn an_unknown_ref_names_the_nearest() {
    let world = World::new();
    let refusal = world.refusal(["--version", "0.9fx"]);
    says(&refusal, "component `agent`");
    says(&refusal, "has no tag, branch or commit `0.9fx`; did you mean `0.9fix`?");
    let refusal = world.refusal(["--version=0.9fix", "--component=server=mian"]);
    says(&refusal, "component `server`");
    says(&refusal, "no tag, branch or commit `mian`; did you mean `main`?");
    world.manifest("\n[release.\"2024.1\"]\nserver = \"0.9\"\n");
    says(&world.refusal(["--version", "2024.2"]), "did you mean `2024.1`?");
}

#[test]
fn a_ref_is_a_name_and_no_expression() {
    let world = World::new();
    for expression in ["0.9fix~1", "main^", "0.9:src", "main@{0}", "HEAD"] {
        let component = format!("server={expression}");
        let refusal = world.refusal(["--version=0.9fix", "--component", &component]);
        says(&refusal, &format!("no tag, branch or commit `{expression}`"));
    }
}

#[test]
fn a_ref_cannot_become_an_option_of_git() {
    let world = World::new();
    let refusal = world.refusal(["--version=0.9fix", "--component", "server=--upload-pack=x"]);
    says(&refusal, "write NAME=REF, for example server=0.9");
}

#[test]
fn too_few_digits_are_refused() {
    let world = World::new();
    let twins = Repository::init(world.path("twins"));
    twins.git(["hash-object", "-t", "tree", "-w", "/dev/null"]);
    for (message, commit) in TWINS {
        let made = twins.git(["commit-tree", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "-m", message]);
        assert_eq!(made, commit);
        twins.git(["update-ref", &format!("refs/heads/twin-{message}"), commit]);
    }
    twins.git(["checkout", "--quiet", "twin-21303"]);
    let text = MANIFEST.replace("source = \"agent\"", "source = \"../twins\"");
    world.manifest_of(&text);
    let refusal = world.refusal(["--version=0.9fix", "--component=agent=c5340e2"]);
    says(&refusal, "`c5340e2` is the start of 2 commits; write more digits");
    // One digit more names a commit, which then has nothing to build.
    let refusal = world.refusal(["--version=0.9fix", "--component=agent=c5340e26"]);
    says(&refusal, &format!("component `agent` at {}: there is no Cargo.toml", TWINS[1].1));
    let refusal = world.refusal(["--version=0.9fix", "--component=agent=c5340e"]);
    says(&refusal, "no tag, branch or commit `c5340e`");
}

#[test]
fn an_unknown_option_names_the_nearest() {
    let world = World::new();
    let refusal = world.refusal(["--componnt", "agent=0.9"]);
    says(&refusal, "'--componnt'");
    says(&refusal, "'--component'");
    let ran = Xtask::new(["all-in-won"]).run();
    assert_eq!(ran.code, Some(1));
    says(&ran.stderr, "'all-in-one'");
}

#[test]
fn a_version_that_cannot_be_a_file_name_is_refused() {
    let world = World::new();
    for version in ["a/b", "", "..", &"x".repeat(65)] {
        let refusal = world.refusal(["--version", version]);
        says(&refusal, &format!("`{version}` is not a version; use 1 to 64 of letters, digits and `.+_-`"));
    }
    says(&world.refusal(["--version=0.9fix", "--name=a/b"]), "`a/b` cannot be part of a version");
    let long = format!("--name={}", "x".repeat(60));
    says(&world.refusal(["--version=0.9fix", &long]), "is not a version");
}

#[test]
fn a_component_is_asked_for_once() {
    let world = World::new();
    let refusal = world.refusal(["--component=server=0.9", "--component=server=0.9fix"]);
    says(&refusal, "--component names `server` twice with different refs; keep one");
}

#[test]
fn a_manifest_that_is_not_there_is_refused() {
    let world = World::new();
    let call = world.all_in_one([]).option("--manifest", &world.path("nowhere/build.toml"));
    let ran = call.run();
    world.nothing_came_out(&ran, 1);
    says(&ran.stderr, "; name a build.toml with --manifest");
}
