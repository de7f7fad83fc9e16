//! The packages that releases carry, all 200 of them, on a bare host, and the guest image, booted.

use std::path::PathBuf;

use packaging_archive::Archive;
use xtask_testbed::{CloneOptions, Device, Invocation, Output, RootClone, Testbed};

/// The file that carries them.
fn file() -> PathBuf {
    let file = std::env::var_os("CAIRN_OS_RUN_FILE");
    file.expect("CAIRN_OS_RUN_FILE names no .run file; run `cargo xtask test --full`, which builds one")
        .into()
}

#[track_caller]
fn expect(output: &Output, code: i32, sentence: &str) {
    let said = format!("{}\n{}", output.stdout_text(), output.stderr_text());
    assert_eq!(output.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "{said}\ndoes not say: {sentence}");
}

#[test]
fn a_bare_host_gets_qemu_and_libvirt_from_the_file_alone() {
    let file = file();
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

#[test]
fn the_guest_image_boots_answers_writes_its_disk_and_turns_itself_off() {
    let mut image = Vec::new();
    Archive::open(file()).unwrap().read_entry("share/images/cairn-guest.raw", &mut image).unwrap();
    let testbed = Testbed::from_env().expect("a prepared testbed");
    let virt = testbed.virt(&|line| eprintln!("{line}")).unwrap();
    let clone = RootClone::new(&virt, CloneOptions::default()).unwrap();
    clone.write("/root/guest.raw", 0o644, image).unwrap();
    let room = clone.room(&[Device::Tun.into()]).unwrap();
    let said = room.run(Invocation::sh(include_str!("guest.sh"))).unwrap().checked().unwrap().stdout_text();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let count = "Boot number of this disk: ";
    let expected = ["1", "2"].map(|time| {
        [format!("up {time}"), format!("pong {time}"), format!("{count}{time}"), format!("off {time}")]
    });
    assert_eq!(lines, expected.concat());
}
