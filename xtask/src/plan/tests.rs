//! Plans as people read them.

use packaging_archive::Origin as RecipeOrigin;

use super::*;
use crate::buildfile::Recipe;
use crate::refs::CarriedFile;

const MANIFEST: &str = "
[archive]
product = 'p'
version = '1'
[component.server]
kind = 'cargo'
bins = ['server', 'tool']
roles = ['server']
stamp = true
[component.agent]
kind = 'cargo'
package = 'the-agent'
bins = ['agent']
section = 'node'
[component.web]
kind = 'static'
files = ['web']
";

/// The running tree stands on commit 7777...
fn running_tree() -> RunningTree {
    RunningTree {
        source: "/src".into(),
        commit: "7".repeat(40),
        tree: "7".repeat(40),
        dirty: false,
        channel: "1.95.0".into(),
        time: 7,
    }
}

/// Every component of the manifest, at a commit of which every digit is the same.
fn resolved(file: &BuildFile, source: &str, reference: &str, digit: &str) -> Vec<Resolved> {
    let one = |(name, component): (&String, &crate::buildfile::Component)| Resolved {
        name: name.clone(),
        source: source.to_owned(),
        reference: reference.to_owned(),
        commit: digit.repeat(40),
        tree: digit.repeat(40),
        dirty: false,
        time: digit.parse().unwrap(),
        recipe: component.recipe.clone(),
        origin: RecipeOrigin::Manifest,
        files: carried(&component.recipe),
        version: None,
        toolchain: None,
        differs_from_pin: false,
    };
    file.components.iter().map(one).collect()
}

fn carried(recipe: &Recipe) -> Vec<CarriedFile> {
    if recipe.files.is_empty() {
        return Vec::new();
    }
    let file = |name: &str| CarriedFile {
        from: format!("web/{name}"),
        to: format!("share/web/{name}"),
        executable: false,
    };
    vec![file("app.js"), file("index.html")]
}

fn made(
    file: &BuildFile,
    components: &[Resolved],
    version: Option<&str>,
    name: Option<&str>,
) -> Result<Plan> {
    made_for(file, components, version, name, &[], false)
}

fn carrying(
    file: &BuildFile,
    components: &[Resolved],
    version: Option<&str>,
    name: Option<&str>,
    os: &[Packages],
) -> Result<Plan> {
    made_for(file, components, version, name, os, false)
}

fn made_for(
    file: &BuildFile,
    components: &[Resolved],
    version: Option<&str>,
    name: Option<&str>,
    os: &[Packages],
    portable: bool,
) -> Result<Plan> {
    let version: Option<Version> = version.map(|version| version.parse().unwrap());
    plan(&Inputs {
        file,
        components,
        toolchain: &running_tree(),
        os,
        version: version.as_ref(),
        name,
        portable,
        manifest_sha256: "ab",
        manifest_folder: "/manifest",
        out: "/out/",
        signer: None,
        again: None,
    })
}

fn sentences(plan: &Plan) -> String {
    plan.steps.iter().map(|step| format!("{step}\n")).collect()
}

fn refusal(manifest: &str) -> String {
    let file = BuildFile::parse(manifest).unwrap();
    let components = resolved(&file, "/src", "0.9", "1");
    format!("{:#}", made(&file, &components, Some("0.9"), None).unwrap_err())
}

#[test]
fn a_release_is_checked_out_once_for_all_programs_and_once_for_all_files() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let plan = made(&file, &resolved(&file, "/src", "0.9", "1"), Some("0.9"), None).unwrap();
    assert_eq!(
        sentences(&plan),
        "\
check out 777777777777 of /src for toolchain
compile toolchain (cairnctl, profile helper, static, toolchain 1.95.0)
check that toolchain says worktree 777777777777
list what is linked into toolchain
stage 1 file of toolchain in section core
stage 2 files of toolchain in section core
check out 111111111111 of /src for agent, server
compile agent (agent, profile release, native, toolchain 1.95.0)
list what is linked into agent
stage 1 file of agent in section node
compile server (server, tool, profile release, native, toolchain 1.95.0)
check that server says 0.9 111111111111
list what is linked into server
stage 2 files of server in section server
check out 111111111111 of /src for web
stage 2 files of web in section web
describe what is inside in share/sbom.cdx.json and share/licenses/THIRD-PARTY.txt
compress 4 sections
assemble /out/p-all-in-one-0.9-x86_64.run, unsigned
state how /out/p-all-in-one-0.9-x86_64.run was made
verify /out/p-all-in-one-0.9-x86_64.run
"
    );
}

#[test]
fn what_is_for_other_machines_is_built_with_tools_and_looked_at() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let components = resolved(&file, "/src", "0.9", "1");
    let plan = made_for(&file, &components, Some("0.9"), None, &[], true).unwrap();
    let expected = "\
make ready zig 0.17.1, cargo-zigbuild 0.24.1, cargo-auditable 0.7.7
check out 777777777777 of /src for toolchain
compile toolchain (cairnctl, profile helper, static, toolchain 1.95.0)
check that toolchain says worktree 777777777777
list what is linked into toolchain
stage 1 file of toolchain in section core
stage 2 files of toolchain in section core
check out 111111111111 of /src for agent, server
compile agent (agent, profile release, glibc 2.17, toolchain 1.95.0)
check that agent runs with glibc 2.17
list what is linked into agent
stage 1 file of agent in section node
compile server (server, tool, profile release, glibc 2.17, toolchain 1.95.0)
check that server runs with glibc 2.17
check that server says 0.9 111111111111
list what is linked into server
stage 2 files of server in section server
check out 111111111111 of /src for web
stage 2 files of web in section web
describe what is inside in share/sbom.cdx.json and share/licenses/THIRD-PARTY.txt
compress 4 sections
assemble /out/p-all-in-one-0.9-x86_64.run, unsigned
state how /out/p-all-in-one-0.9-x86_64.run was made
verify /out/p-all-in-one-0.9-x86_64.run
";
    assert_eq!(sentences(&plan), expected);
    let fetched = sentences(&plan.fetching());
    assert_eq!(fetched.lines().next(), expected.lines().next());
    let native = made(&file, &components, Some("0.9"), None).unwrap();
    assert_eq!((plan.kind(), native.kind()), ("portable", "native"));
    assert_eq!((plan.tools().count(), native.tools().count()), (3, 0));
}

#[test]
fn what_is_built_from_two_commits_is_built_one_commit_after_the_other() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let mut components = resolved(&file, "/src", "worktree", "7");
    components[0] = resolved(&file, "/src", "0.9", "1").remove(0);
    components[1].toolchain = Some("1.80".into());
    let plan = made(&file, &components, None, Some("qa")).unwrap();
    assert_eq!(
        sentences(&plan),
        "\
check out 777777777777 of /src for toolchain
compile toolchain (cairnctl, profile helper, static, toolchain 1.95.0)
check that toolchain says worktree 777777777777
list what is linked into toolchain
stage 1 file of toolchain in section core
stage 2 files of toolchain in section core
check out 111111111111 of /src for agent
compile agent (agent, profile release, native, toolchain 1.95.0)
list what is linked into agent
stage 1 file of agent in section node
check out 777777777777 of /src for server
compile server (server, tool, profile release, native, toolchain 1.80)
check that server says worktree 777777777777
list what is linked into server
stage 2 files of server in section server
check out 777777777777 of /src for web
stage 2 files of web in section web
describe what is inside in share/sbom.cdx.json and share/licenses/THIRD-PARTY.txt
compress 4 sections
assemble /out/p-all-in-one-1-dev.77777777+agent.0.9-qa-x86_64.run, unsigned
state how /out/p-all-in-one-1-dev.77777777+agent.0.9-qa-x86_64.run was made
verify /out/p-all-in-one-1-dev.77777777+agent.0.9-qa-x86_64.run
"
    );
}

#[test]
fn sources_of_their_own_have_slots_of_their_own() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let mut components = resolved(&file, "/src/b", "0.9", "1");
    components[2].source = "https://host/a.git".into();
    let plan = made(&file, &components, Some("0.9"), None).unwrap();
    let checked_out: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| matches!(step, Step::CheckOut { .. }))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        checked_out,
        [
            "check out 777777777777 of /src for toolchain",
            "check out 111111111111 of /src/b for agent, server",
            "check out 111111111111 of https://host/a.git for web",
        ]
    );
}

#[test]
fn bundles_are_fetched_first_and_staged_last() {
    let digest = "AB".repeat(32);
    let bundles = format!(
        "[bundle.one]\npath='lib/one.bin'\nsha256='{digest}'\nto='lib/one.bin'\nsection='node'\n\
         [bundle.two]\nurl='https://host/two'\nsha256='{digest}'\nto='bin/two'\nexecutable=true\nroles=['agent']\n"
    );
    let file = BuildFile::parse(&format!("{MANIFEST}{bundles}")).unwrap();
    let plan = made(&file, &resolved(&file, "/src", "0.9", "1"), Some("0.9"), None).unwrap();
    let sentences = sentences(&plan);
    assert!(
        sentences.starts_with(
            "fetch one from /manifest/lib/one.bin\nfetch two from https://host/two\ncheck out 7"
        ),
        "{sentences}"
    );
    let [.., one, two, _, _, _, _, _] = &plan.steps[..] else { panic!("{sentences}") };
    assert_eq!(one.to_string(), "stage 1 file of one in section node");
    let Step::Stage { from, files, section, .. } = two else { panic!("{two}") };
    assert_eq!(*from, Origin::Bundle { sha256: digest.to_lowercase() });
    assert_eq!((files[0].to.as_str(), files[0].mode, section.as_str()), ("bin/two", Mode::Executable, "two"));
    let sections: Vec<String> =
        plan.sections.iter().map(|(name, roles)| format!("{name} {}", roles.join(" "))).collect();
    assert_eq!(sections, ["core ", "node ", "server server", "web ", "two agent"]);
}

#[test]
fn fetching_does_what_needs_a_network_and_nothing_else() {
    let digest = "0".repeat(64);
    let bundle = format!("[bundle.b]\nurl='https://host/b'\nsha256='{digest}'\nto='lib/b'\n");
    let file = BuildFile::parse(&format!("{MANIFEST}{bundle}")).unwrap();
    let mut components = resolved(&file, "/src", "0.9", "1");
    let all =
        |components: &[Resolved]| sentences(&made(&file, components, Some("0.9"), None).unwrap().fetching());
    let expected = "\
fetch b from https://host/b
check out 777777777777 of /src for toolchain
fetch the crates of toolchain (toolchain 1.95.0)
check out 111111111111 of /src for agent, server
fetch the crates of agent (toolchain 1.95.0)
";
    let files = "check out 111111111111 of /src for web\n";
    assert_eq!(all(&components), format!("{expected}{files}"));
    components[1].toolchain = Some("1.80".into());
    assert_eq!(all(&components), format!("{expected}fetch the crates of server (toolchain 1.80)\n{files}"));
}

#[test]
fn the_version_says_what_is_not_committed_and_what_differs() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let mut components = resolved(&file, "/src", "worktree", "7");
    let version = |components: &[Resolved], version, name| {
        made(&file, components, version, name).map(|plan| plan.version.to_string())
    };
    assert_eq!(version(&components, None, None).unwrap(), "1-dev.77777777");
    assert_eq!(version(&components, Some("0.9"), Some("qa")).unwrap(), "0.9-qa");
    components[0].dirty = true;
    assert_eq!(version(&components, None, None).unwrap(), "1-dev.77777777.dirty");
    components[1].differs_from_pin = true;
    components[1].reference = "topic/x".into();
    assert_eq!(version(&components, Some("0.9"), None).unwrap(), "0.9+server.topic_x");
    let refusal = version(&components, None, Some("a/b")).unwrap_err().to_string();
    assert_eq!(refusal, "`a/b` cannot be part of a version; use letters, digits and `.+_-` for --name");
}

#[test]
fn the_package_is_as_old_as_its_newest_commit() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let mut components = resolved(&file, "/src", "0.9", "1");
    components[1].time = 5;
    assert_eq!(made(&file, &components, Some("0.9"), None).unwrap().created, 5);
}

#[test]
fn a_path_has_one_owner() {
    let twice = format!("{MANIFEST}[component.web2]\nkind='static'\nfiles=['web']\n");
    assert_eq!(refusal(&twice), "`share/web/app.js` is brought by web and by web2; rename one of them");
    let digest = "0".repeat(64);
    let bundle = |to: &str| format!("{MANIFEST}[bundle.b]\npath='x'\nsha256='{digest}'\nto='{to}'\n");
    assert_eq!(
        refusal(&bundle("bin/cairnctl")),
        "`bin/cairnctl` is brought by toolchain and by b; rename one of them"
    );
    assert_eq!(
        refusal(&bundle("share/web")),
        "`share/web` of b is a file, and others lie in it; rename one of them"
    );
    assert_eq!(
        refusal(&bundle("share/sbom.cdx.json")),
        "`share/sbom.cdx.json` is brought by b and by toolchain; rename one of them"
    );
    assert_eq!(
        refusal(&bundle("manifest.json")),
        "`manifest.json` is brought by toolchain and by b; rename one of them"
    );
    assert!(refusal(&bundle("../x")).starts_with("the path `../x` is absolute"));
}

#[test]
fn a_section_has_one_set_of_roles() {
    let text = MANIFEST.replace("section = 'node'", "section = 'server'");
    assert_eq!(
        refusal(&text),
        "section `server` is given different roles; name them alike, or use two sections"
    );
}

#[test]
fn kind_and_programs_fit() {
    let none = MANIFEST.replace("bins = ['agent']", "bins = []");
    assert_eq!(refusal(&none), "component `agent` builds no program; add `bins` to its recipe");
    let some = MANIFEST.replace("files = ['web']", "files = ['web']\nbins = ['web']");
    assert_eq!(refusal(&some), "component `web` is static and names `bins`; write kind = \"cargo\"");
}

/// Two packages of a system that only agents need, and what says so.
fn packages(os: &str) -> Packages {
    let package = |name: &str, digit: &str| crate::os::Package {
        name: name.into(),
        version: "1:2-3".into(),
        architecture: "amd64".into(),
        sha256: digit.repeat(64),
        size: 1_000_001,
    };
    let roles = [("agent", vec!["b".to_owned()]), ("server", Vec::new())];
    Packages {
        os: os.into(),
        suite: "s".into(),
        architecture: "amd64".into(),
        locked: true,
        roles: roles.map(|(role, named)| (role.to_owned(), named)).into(),
        packages: vec![package("a", "a"), package("b", "b")],
    }
}

#[test]
fn packages_of_an_operating_system_lie_in_a_section_of_their_own() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let components = resolved(&file, "/src", "0.9", "1");
    let plan = carrying(&file, &components, Some("0.9"), None, &[packages("debian-12")]).unwrap();
    let said = sentences(&plan);
    assert!(said.starts_with("fetch 2 packages of debian-12, as its lock has them (3 MB)\n"), "{said}");
    let packed = "\
stage 2 files of debian-12 in section os-debian-12
list the packages of debian-12 in share/os/debian-12/Packages and share/os/debian-12/packages.json
describe what is inside";
    assert!(said.contains(packed), "{said}");
    assert_eq!(plan.sections.last(), Some(&("os-debian-12".to_owned(), vec!["agent".to_owned()])));
    assert!(sentences(&plan.fetching()).starts_with("fetch 2 packages of debian-12"));
    let without = made(&file, &components, Some("0.9"), None).unwrap();
    assert_eq!(without.steps.len() + 3, plan.steps.len());
}

#[test]
fn names_of_packages_and_of_components_do_not_meet() {
    let file = BuildFile::parse(MANIFEST).unwrap();
    let components = resolved(&file, "/src", "0.9", "1");
    let error = carrying(&file, &components, None, None, &[packages("web")]).unwrap_err().to_string();
    assert!(error.starts_with("`web` is what the packages of --os are called"), "{error}");
    let error = refusal(&MANIFEST.replace("section = 'node'", "section = 'os-9'"));
    assert!(error.ends_with("; choose a name without `os-`"), "{error}");
}
