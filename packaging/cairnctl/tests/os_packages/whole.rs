//! The packages that releases carry, on a bare host: with --full, since it installs some 200 of them.

use std::path::PathBuf;

use xtask_testbed::{CloneOptions, Invocation, RootClone, Testbed};

use super::expect;

#[test]
fn a_bare_host_gets_qemu_and_libvirt_from_the_file_alone() {
    let Some(file) = std::env::var_os("CAIRN_OS_RUN_FILE").map(PathBuf::from) else {
        assert!(std::env::var_os("CAIRN_TEST_FULL").is_none(), "CAIRN_OS_RUN_FILE names no .run file");
        return;
    };
    let testbed = Testbed::from_env().expect("a prepared testbed");
    let clone = RootClone::new(testbed.host(), CloneOptions::default()).unwrap();
    clone.copy_in(file, "/root/cairn.run", 0o644).unwrap();
    let room = clone.room(&[]).unwrap();
    let run = |words: &[&str]| room.run(Invocation::new("sh").args(words.iter().copied())).unwrap();
    assert!(!room.run(["sh", "-c", "command -v qemu-img"]).unwrap().success(), "the host is not bare");
    expect(&run(&["/root/cairn.run", "packages", "--role", "agent", "--dry-run"]), 0, "qemu-system-x86 ");
    expect(
        &run(&["/root/cairn.run", "packages", "--role", "agent", "--yes"]),
        0,
        "the packages of debian-12 are installed",
    );
    for words in [
        ["qemu-system-x86_64", "--version"],
        ["qemu-img", "--version"],
        ["libvirtd", "--version"],
        ["nft", "--version"],
    ] {
        room.run(words).unwrap().checked().unwrap();
    }
    assert!(clone.path().join("usr/share/qemu/firmware").is_dir(), "no UEFI firmware is described");
    assert_eq!(room.run(["dpkg", "--audit"]).unwrap().checked().unwrap().stdout_text(), "");
    expect(
        &run(&["/root/cairn.run", "packages", "--role", "agent", "--yes"]),
        0,
        "all packages are there; nothing to do",
    );
}
