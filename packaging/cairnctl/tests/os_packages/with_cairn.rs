//! Packages as a part of an installation: they come with it and with an upgrade, are remembered whatever happens to that, and
//! leave with a removal when that is asked for and nobody else needs them.

use std::fs;

use packaging_archive::Mode;
use serde_json::Value;
use xtask_testbed::{Invocation, Listing, Mount, Output, Room};

use crate::distribution::{FOLDER, Package, carry};
use crate::product::pack_with;
use crate::{CARRIED, Host, expect, hold_the_lock, installed};

/// What the second version carries: one package is newer, and needs another one.
const LATER: [Package<'_>; 3] =
    [("lower", "1.5", ""), ("extra", "1.0", ""), ("hyper", "2.1-1", "Depends: lower (>= 1.2), extra\n")];

const NAMES: [&str; 3] = ["lower", "hyper", "extra"];

/// What changes with every use of the package manager, and is its own.
const OF_THE_MANAGER: [&str; 6] =
    ["/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/log", "/usr/share/doc", "/root"];

impl Host {
    /// Puts the packed file of a version onto the host, with these packages in it.
    fn has_file(&self, version: &str, packages: &[Package<'_>], scripts: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        carry(folder.path(), packages, &["hyper"], scripts);
        let entries = fs::read_dir(folder.path().join(FOLDER)).unwrap().map(|entry| entry.unwrap());
        let entries: Vec<(String, Vec<u8>)> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (format!("{FOLDER}/{name}"), fs::read(entry.path()).unwrap())
            })
            .collect();
        let entries =
            entries.iter().map(|(path, bytes)| (path.as_str(), Mode::File, bytes.clone())).collect();
        let file = pack_with(folder.path(), version, entries);
        self.clone.write(format!("/root/{version}.run"), 0o644, fs::read(file).unwrap()).unwrap();
    }

    /// What lies on the host other than packages.
    fn listing(&self) -> Listing {
        Listing::of(&self.clone.path(), &OF_THE_MANAGER).unwrap()
    }

    /// What the record says of packages.
    fn record(&self) -> Value {
        let receipt = fs::read(self.clone.path().join("var/lib/cairn/receipt.json"));
        receipt.map_or(Value::Null, |bytes| {
            serde_json::from_slice::<Value>(&bytes).unwrap()["packages"]["installed"].clone()
        })
    }
}

fn cairnctl(room: &Room<'_>, version: &str, words: &[&str], fault: &str) -> Output {
    let file = format!("/root/{version}.run");
    let archive = if version.is_empty() { Vec::new() } else { vec!["--archive", &file] };
    let invocation = Invocation::new("cairnctl").args(archive).args(words.iter().copied()).arg("--yes");
    room.run(invocation.env("CAIRN_FAULT", fault)).unwrap()
}

fn install(room: &Room<'_>, words: &[&str]) -> Output {
    cairnctl(room, "1.0", &[&["install", "--role", "agent", "--no-start"][..], words].concat(), "")
}

fn uninstall(room: &Room<'_>, words: &[&str]) -> Output {
    cairnctl(room, "", &[&["uninstall"][..], words].concat(), "")
}

#[test]
fn they_come_with_an_installation_stay_with_a_removal_and_go_when_that_is_asked_for() {
    let host = Host::new(&CARRIED, &[]);
    host.has_file("1.0", &CARRIED, &[]);
    host.has_file("2.0", &LATER, &[]);
    let room = host.room();
    let bare = host.listing();

    let planned = install(&room, &["--dry-run", "--json"]);
    let planned: Value = serde_json::from_str(&planned.stdout_text()).unwrap();
    assert_eq!(planned["packages"]["install"], serde_json::json!({"hyper": "2.0-1", "lower": "1.5"}));
    let shown = expect(&install(&room, &["--dry-run"]), 0, "  install 2 packages (1 MB):\n    hyper 2.0-1");
    assert!(shown.find("hyper 2.0-1") < shown.find("unpack to"), "{shown}");
    assert!(!expect(&install(&room, &["--dry-run", "--no-packages"]), 0, "unpack to").contains("hyper"));
    assert!(installed(&room, &NAMES).is_empty() && bare.diff(&host.listing()).is_empty());

    expect(&install(&room, &[]), 0, "install 2 packages of the operating system ... ok");
    assert_eq!(installed(&room, &NAMES), "hyper 2.0-1 ii\nlower 1.5 ii");
    assert_eq!(host.record(), serde_json::json!({"hyper": "2.0-1", "lower": "1.5"}));
    expect(&install(&room, &[]), 0, "is already installed; nothing to do");
    // Somebody has removed one: it comes back, and Cairn stays as it is.
    room.run(["dpkg", "--remove", "hyper"]).unwrap().checked().unwrap();
    expect(&install(&room, &[]), 0, "install 1 packages of the operating system ... ok");

    let upgraded = cairnctl(&room, "2.0", &["upgrade"], "");
    let words =
        "install 1 packages of the operating system, upgrade 1 packages of the operating system ... ok";
    expect(&upgraded, 0, words);
    assert_eq!(installed(&room, &NAMES), "extra 1.0 ii\nhyper 2.1-1 ii\nlower 1.5 ii");
    let all = serde_json::json!({"extra": "1.0", "hyper": "2.1-1", "lower": "1.5"});
    assert_eq!(host.record(), all);
    // Packages only go forward.
    expect(&cairnctl(&room, "", &["rollback"], ""), 0, "cairn 1.0 is installed");
    assert_eq!((host.record(), installed(&room, &["hyper"]).as_str()), (all, "hyper 2.1-1 ii"));

    let kept = "keep 3 packages that were installed: extra, hyper, lower";
    expect(&uninstall(&room, &[]), 0, kept);
    expect(&uninstall(&room, &[]), 0, kept);
    assert_eq!(installed(&room, &NAMES).lines().count(), 3);

    // A machine of somebody else's; then a package of somebody else's.
    host.clone.write("/etc/libvirt/qemu/desktop.xml", 0o600, "<domain/>").unwrap();
    let refused = expect(&uninstall(&room, &["--remove-packages"]), 8, "not Cairn's: `desktop`");
    assert!(refused.contains("leave out --remove-packages"), "{refused}");
    room.run(["rm", "-r", "/etc/libvirt"]).unwrap().checked().unwrap();
    host.has(&room, ("stranger", "1", "Depends: lower\n"), &[]);
    let plan =
        expect(&uninstall(&room, &["--remove-packages", "--dry-run"]), 0, "remove 2 packages: extra, hyper");
    assert_eq!((plan.contains("lower"), installed(&room, &NAMES).lines().count()), (false, 3));
    expect(&uninstall(&room, &["--remove-packages"]), 0, "remove 2 packages: extra, hyper");
    assert_eq!(installed(&room, &NAMES), "lower 1.5 ii");
    assert_eq!(host.record(), serde_json::json!({"lower": "1.5"}));
    room.run(["dpkg", "--purge", "stranger"]).unwrap().checked().unwrap();
    expect(&uninstall(&room, &["--remove-packages"]), 0, "remove 1 packages: lower");
    assert_eq!(installed(&room, &NAMES), "");
    assert_eq!(bare.diff(&host.listing()), "");
    assert_eq!(room.run(["dpkg", "--audit"]).unwrap().checked().unwrap().stdout_text(), "");
}

#[test]
fn everything_goes_in_one_run() {
    let host = Host::new(&CARRIED, &[]);
    host.has_file("1.0", &CARRIED, &[]);
    let room = host.room();
    // Somebody who would like to have one of them does not need it.
    host.has(&room, ("stranger", "1", "Recommends: lower\n"), &[]);
    let bare = host.listing();
    expect(&install(&room, &[]), 0, "cairn 1.0 is installed");
    // Whoever purges without them is told now what nobody knows afterwards.
    let told = expect(
        &uninstall(&room, &["--purge", "--dry-run"]),
        0,
        "keep 2 packages that were installed: hyper, lower",
    );
    assert!(told.contains("the record that names them goes with --purge: keep this list"), "{told}");
    let json = uninstall(&room, &["--purge", "--dry-run", "--json"]).stdout_text();
    assert!(json.contains("hyper, lower") && json.contains("keep this list"), "{json}");
    let json = uninstall(&room, &["--purge", "--remove-packages", "--json"]);
    let json: Value = serde_json::from_str(&json.stdout_text()).unwrap();
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(
        (json["state"].as_str(), steps.last().unwrap()),
        (Some("done"), &"remove 2 packages: hyper, lower".into())
    );
    assert_eq!((installed(&room, &NAMES).as_str(), bare.diff(&host.listing()).as_str()), ("", ""));
}

#[test]
fn what_comes_is_remembered_wherever_the_run_ends() {
    // Its script kills the package manager the first time, as a power cut would.
    let postinst = "#!/bin/sh\nif [ ! -e /root/cut ]; then : >/root/cut; kill -KILL $PPID; fi\n";
    let host = Host::new(&CARRIED, &[]);
    host.has_file("1.0", &CARRIED, &[("postinst", postinst)]);
    let room = host.room();
    let bare = host.listing();
    let words = ["install", "--role", "agent", "--no-start"];
    let all = serde_json::json!({"hyper": "2.0-1", "lower": "1.5"});

    // A lock that somebody holds: nothing has begun.
    hold_the_lock(&room);
    let said = expect(&install(&room, &["--wait", "0"]), 5, "holds `/var/lib/dpkg/lock-frontend`");
    assert!(said.contains("(`perl`)") && said.contains("wait for it to end, and run this again"), "{said}");
    assert_eq!((host.record(), bare.diff(&host.listing()).as_str()), (Value::Null, ""));
    room.run(Invocation::sh(": >/root/go")).unwrap().checked().unwrap();

    // Killed before the record, and behind it.
    assert!(!cairnctl(&room, "1.0", &words, "kill:0").success());
    assert_eq!(host.record(), Value::Null);
    assert!(!cairnctl(&room, "1.0", &words, "kill:1").success());
    assert_eq!((host.record(), installed(&room, &NAMES).as_str()), (all.clone(), ""));

    // The package manager dies, the next run finishes its work first, and Cairn's own steps fail after that.
    expect(&install(&room, &[]), 7, "apt could not install packages");
    let planned = install(&room, &["--dry-run"]);
    expect(&planned, 0, "finish what the package manager was interrupted in");
    expect(&cairnctl(&room, "1.0", &words, "error:20"), 6, "everything was put back as it was");
    assert_eq!((host.record(), installed(&room, &NAMES).lines().count()), (all.clone(), 2));
    assert!(!host.clone.path().join("opt/cairn").exists());
    expect(&install(&room, &[]), 0, "cairn 1.0 is installed");
    assert_eq!(host.record(), all);
    expect(&uninstall(&room, &["--remove-packages"]), 0, "remove 2 packages: hyper, lower");
    assert_eq!((installed(&room, &NAMES).as_str(), bare.diff(&host.listing()).as_str()), ("", ""));
}

#[test]
fn a_disk_without_room_for_them_is_told_and_the_next_run_goes_on() {
    let host = Host::new(&CARRIED, &[]);
    host.has_file("1.0", &CARRIED, &[]);
    let room = host.room_with(&[Mount::tmpfs("/var/cache").size_bytes(256 << 10)]);
    let bare = host.listing();
    let said = expect(&install(&room, &[]), 4, "FAIL  space");
    assert!(said.contains("`/var/cache/cairn-packages` on the tmpfs at `/var/cache`"), "{said}");
    assert_eq!((host.record(), bare.diff(&host.listing()).as_str()), (Value::Null, ""));
    drop(room);

    // One page, where the first package finds room and the second one does not.
    let room = host.room_with(&[Mount::tmpfs("/usr/share/doc").size_bytes(4096)]);
    let said = expect(&install(&room, &[]), 4, "No space left on device");
    assert!(said.contains("make room there, and run this again: it goes on where this ended"), "{said}");
    drop(room);
    assert!(!host.clone.path().join("opt/cairn").exists());
    let room = host.room();
    expect(&install(&room, &[]), 0, "cairn 1.0 is installed");
    assert_eq!(installed(&room, &NAMES), "hyper 2.0-1 ii\nlower 1.5 ii");
}
