//! The options and verbs of the packed file.

use std::fs;
use std::path::Path;

use xtask_testbed::Listing;

use crate::site::{Run as _, Site, version};
use crate::support::run_file;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn questions_about_the_file_are_answered_and_touch_nothing() {
    let site = Site::new();
    let name = run_file().file_name().unwrap().to_str().unwrap().to_owned();
    let asked: [(&[&str], &str); 12] = [
        (&["--check"], "every byte as it was packed"),
        (&["verify"], "every byte as it was packed"),
        (&["--info"], "toolchain"),
        (&["inspect"], "toolchain"),
        (&["inspect", "--json"], "\"sha256\""),
        (&["--list"], "bin/cairn-server"),
        (&["list"], "bin/cairn-server"),
        (&["--version"], &version()),
        (&["version"], &version()),
        (&["--help"], &format!("sh {name} <VERB>")),
        (&["-h"], "--noexec"),
        (&["install", "--help"], &format!("sh {name} install")),
    ];
    for (words, answer) in asked {
        let done = site.run(words).expect(0).says(answer);
        assert_eq!(done.err, "", "{words:?}");
    }
    assert_eq!(site.run(&["--quiet", "--check"]).expect(0).out, "");
    assert_eq!(names(&site.beside("")), ["root"]);
    let help = site.run(&["--help"]).out;
    assert!(!help.contains("cairnctl"), "an operator who has a file has no cairnctl: {help}");
}

#[test]
fn a_wrong_word_is_refused_with_1() {
    let site = Site::new();
    for words in
        [&["--no-such-option"][..], &["no-such-verb"], &["--role", "king"], &["--target"], &["install", "x"]]
    {
        let done = site.run(words).expect(1);
        assert!(!done.err.is_empty(), "{words:?}");
    }
    site.command(&["--dry-run"]).env("CAIRN_YES", "perhaps").done().expect(1).says("--yes");
    assert_eq!(names(&site.beside("")), ["root"]);
}

#[test]
fn extracting_writes_where_one_says() {
    let site = Site::new();
    let folder = format!("cairn-{}", version());
    site.run(&["--noexec", "--target", "a"]).expect(0).says("to install from there: a/install.sh");
    site.run(&["--target=b", "--noexec"]).expect(0);
    site.run(&["extract", "c"]).expect(0);
    site.run(&["extract"]).expect(0);
    assert_eq!(names(&site.beside("")), ["a", "b", "c", &folder, "root"]);
    let list = |name: &str| Listing::of(&site.beside(name), &[]).unwrap();
    for other in ["b", "c", &folder] {
        assert_eq!(list("a").diff(&list(other)), "");
    }
    assert!(site.beside("a/install.sh").exists() && site.beside("a/bin/cairn-agent").exists());
    site.run(&["extract", "c"]).expect(7).says("the folder is not empty; name another");
    let one = site.run(&["extract", "--entry", "etc/server.toml"]).expect(0);
    assert_eq!(one.out, fs::read_to_string(site.beside("a/etc/server.toml")).unwrap());
}

#[test]
fn keeping_extracts_and_installs() {
    let site = Site::new();
    site.install(&["--target", "t"]).expect(0).says("extracted to t");
    assert!(site.beside("t/install.sh").exists());
    site.uninstall(&["--purge"]).expect(0);
    site.install(&["--keep", "--quiet"]).expect(0);
    assert!(site.beside(&format!("cairn-{}/install.sh", version())).exists());
    site.ctl("verify").expect(0);
}

#[test]
fn words_behind_two_dashes_belong_to_install() {
    let site = Site::new();
    let root = site.root();
    let root = root.to_str().unwrap();
    site.run(&["--quiet", "--", "--root", root, "--no-start", "--yes"]).expect(0);
    site.ctl("verify").expect(0);
    let quiet = site.run(&["--", "--root", root, "--no-start", "--yes", "--role", "server"]).expect(8);
    assert_eq!(quiet.out, "");
}

#[test]
fn every_option_is_a_variable_too() {
    let site = Site::new();
    let (root, secret) = (site.root(), site.beside("secret"));
    site.write(&secret, 0o600, "a password of mine\n");
    let set = |yes: &str, more: &[(&str, &str)]| {
        let mut command = site.command(&[]);
        command.env("CAIRN_ROOT", &root).env("CAIRN_NO_START", yes).env("CAIRN_ROLE", "server");
        command.env("CAIRN_ADMIN_PASSWORD_FILE", &secret).envs(more.iter().copied());
        command.done()
    };
    set("1", &[("CAIRN_DRY_RUN", "true")]).expect(0).says("plan for");
    set("1", &[("CAIRN_YES", "on"), ("CAIRN_CONFIRM", "yes")]).expect(1).says("leave out --confirm");
    assert_eq!(site.listing().entries().count(), 0);
    assert_eq!(
        set("on", &[("CAIRN_YES", "yes"), ("CAIRN_QUIET", "1"), ("CAIRN_CONFIRM", "0")]).expect(0).out,
        ""
    );
    assert!(crate::passwords::opens(&site, "a password of mine"));
    assert!(!site.at("/etc/cairn/agent.toml").exists());
    let mut json = site.command(&["preflight"]);
    json.envs([("CAIRN_JSON", "1"), ("CAIRN_NO_START", "1"), ("CAIRN_ROOT", root.to_str().unwrap())]);
    assert!(json.done().expect(0).out.starts_with("{\n  \"checks\": ["));
    let purge = [("CAIRN_ROOT", root.to_str().unwrap()), ("CAIRN_YES", "1"), ("CAIRN_PURGE", "1")];
    site.command(&["uninstall"]).envs(purge).done().expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}
