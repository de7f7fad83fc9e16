//! The packages that releases carry, all 200 of them, on a bare host, and the guest image, booted.

use std::path::PathBuf;
use std::time::Duration;

use packaging_archive::Archive;
use xtask_testbed::{
    CloneOptions, Device, Invocation, Listing, Machine, MachineOptions, Output, RootClone, Testbed,
};

/// The file that carries them.
pub fn file() -> PathBuf {
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

/// Where packages are kept track of, and what Debian's packages leave when they are purged: users, caches, folders.
pub const OF_PACKAGES: [&str; 20] = [
    "/etc/apparmor.d",
    "/etc/libvirt",
    "/etc/xml",
    "/usr/share/polkit-1",
    "/var/lib/libvirt",
    "/var/lib/machines",
    "/var/lib/pam",
    "/var/lib/portables",
    "/etc/group",
    "/etc/group-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/shadow",
    "/etc/shadow-",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/log",
];

/// What changes on a host that is left alone.
pub const RESTLESS: [&str; 4] = ["/run", "/tmp", "/var/tmp", "/var/lib/systemd"];

#[test]
fn a_bare_host_gets_qemu_and_libvirt_from_the_file_alone() {
    let testbed = Testbed::from_env().expect("a prepared testbed");
    let host = Machine::boot(testbed.host(), MachineOptions::default()).unwrap();
    host.copy_in(file(), "/root/cairn.run", 0o644).unwrap();
    let listing = || Listing::of(&host.path(), &[&OF_PACKAGES[..], &RESTLESS].concat()).unwrap();
    let run = |words: &[&str]| {
        let run = Invocation::new("sh").arg("/root/cairn.run").args(words.iter().copied());
        host.run(run.limit(Duration::from_secs(900))).unwrap()
    };
    let says = |words: &[&str]| {
        host.run(Invocation::new(words[0]).args(words[1..].iter().copied()))
            .unwrap()
            .checked()
            .unwrap()
            .stdout_text()
    };
    let bare = listing();
    assert!(!host.run(["sh", "-c", "command -v qemu-img"]).unwrap().success(), "the host is not bare");

    expect(&run(&["preflight"]), 0, "there is no `qemu-img`; the file brings it");
    expect(&run(&["--dry-run"]), 0, "qemu-system-x86 ");
    assert_eq!(bare.diff(&listing()), "");
    expect(&run(&["--yes"]), 0, " packages of the operating system ... ok");
    for words in [
        ["qemu-system-x86_64", "--version"],
        ["qemu-img", "--version"],
        ["libvirtd", "--version"],
        ["nft", "--version"],
        ["virsh", "version"],
    ] {
        says(&words);
    }
    assert!(host.path().join("usr/share/qemu/firmware").is_dir(), "no UEFI firmware is described");
    assert_eq!(says(&["dpkg", "--audit"]), "");
    let health = host.run(["/opt/cairn/current/bin/cairn-agent", "health", "--json"]).unwrap();
    expect(&health, 0, "\"healthy\":true");
    expect(&run(&["preflight"]), 0, "accepts a connection; /usr/sbin/libvirtd (libvirt) 9.0.0");
    expect(&run(&["--yes"]), 0, "is already installed; nothing to do");
    expect(&run(&["packages", "--yes"]), 0, "all packages are there; nothing to do");

    // A removal keeps them, and names them; another one takes them, and leaves the host as it was.
    expect(&run(&["uninstall", "--yes"]), 0, " packages that were installed: ");
    says(&["qemu-img", "--version"]);
    expect(&run(&["uninstall", "--yes", "--purge", "--remove-packages"]), 0, "uninstalled");
    assert_eq!(says(&["dpkg", "--audit"]), "");
    assert!(!host.run(["sh", "-c", "command -v qemu-img || command -v libvirtd"]).unwrap().success());
    for list in ["list-units", "list-unit-files"] {
        let known = host.run(["systemctl", list, "--plain", "--no-legend", "libvirt*", "virtlo*", "cairn*"]);
        assert_eq!(known.unwrap().stdout_text(), "", "systemctl {list}");
    }
    // Debian calls one of them required on every host, and apt never takes such a one for superfluous.
    let is_required = |line: &&str| line.contains("sensible-") || line.contains("/select-editor");
    let left = bare.diff(&listing());
    assert_eq!(left.lines().filter(|line| !is_required(line)).collect::<Vec<_>>(), [""; 0]);
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
