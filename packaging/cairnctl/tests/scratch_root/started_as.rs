//! The ways to start the packed file: shells, paths, links, folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::site::{Done, Run as _, Site, plain};
use crate::support::{run_file, testbed};

/// Checks, and installs with a root given as a relative path.
fn works(mut start: impl FnMut() -> std::process::Command, site: &Site) {
    let run = |command: &mut std::process::Command| -> Done { command.current_dir(site.beside("")).done() };
    run(start().arg("--check")).expect(0).says("every byte as it was packed");
    run(start().args(["--root", "root", "--no-start", "--yes", "--quiet"])).expect(0);
    site.ctl("verify").expect(0);
    run(start().args(["uninstall", "--root", "root", "--yes", "--purge"])).expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}

#[test]
fn by_each_shell() {
    let busybox = testbed().busybox();
    for shell in [&["sh"][..], &["dash"], &["bash"], &["bash", "--posix"], &[busybox.to_str().unwrap(), "sh"]]
    {
        let site = Site::new();
        let start = || {
            let mut command = plain(shell[0]);
            command.args(&shell[1..]).arg(run_file());
            command
        };
        works(start, &site);
    }
}

#[test]
fn as_a_program_by_any_path() {
    let site = Site::new();
    let folder = site.beside("a folder \"with\" $names; and 'more'");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("the file.run");
    fs::copy(run_file(), &file).unwrap();
    symlink(&file, site.beside("link")).unwrap();
    symlink("link", site.beside("link to a link")).unwrap();
    works(|| plain(&file), &site);
    for relative in ["./link", "./link to a link"] {
        works(|| plain(Path::new(relative)), &site);
    }
    for relative in ["link", "a folder \"with\" $names; and 'more'/the file.run"] {
        let start = || {
            let mut command = plain("sh");
            command.arg(relative);
            command
        };
        works(start, &site);
    }
}

#[test]
fn nothing_of_it_stays_in_a_scratch_folder() {
    let site = Site::new();
    let scratch = site.beside("scratch");
    fs::create_dir(&scratch).unwrap();
    let done = site.command(&["--check"]).env("TMPDIR", &scratch).done();
    done.expect(0);
    assert_eq!(scratch.read_dir().unwrap().count(), 0);
    site.command(&["--no-such-option"]).env("TMPDIR", &scratch).done().expect(1);
    assert_eq!(scratch.read_dir().unwrap().count(), 0);
}

#[test]
fn the_kept_archive_installs_and_removes_itself() {
    let site = Site::installed(&[]);
    let kept = site.at("/var/lib/cairn/archives").join(format!("{}.run", crate::site::version()));
    let mut command = plain(&kept);
    command.arg("--root").arg(site.root()).args(["--no-start", "--yes"]);
    command.done().expect(0).says("nothing to do");
    let mut command = plain(&kept);
    command.args(["uninstall", "--purge", "--yes", "--root"]).arg(site.root()).done().expect(0);
    assert_eq!(site.listing().entries().count(), 0);
}
