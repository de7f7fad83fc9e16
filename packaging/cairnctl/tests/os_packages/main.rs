//! Carried packages on hosts that are bare, that have something already, and that are busy or were interrupted. No host has a
//! network; each is a clone of a Debian 12 with next to nothing on it.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod distribution;
#[path = "../support/pair.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod pair;
#[path = "../support/product.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod product;
mod with_cairn;

use std::path::PathBuf;

use xtask_testbed::{Bind, CloneOptions, Invocation, Mount, Output, Room, RootClone, Testbed};

use distribution::{Package, build, carry};

/// What most tests carry: what agents are given needs `lower`, and `friend` goes along.
const CARRIED: [Package<'_>; 3] = [
    ("lower", "1.5", ""),
    ("friend", "1.5", "Depends: lower (= 1.5)\n"),
    ("hyper", "2.0-1", "Depends: lower (>= 1.2)\n"),
];

/// A host, and the folder that a .run file was extracted into, which it sees as /carried.
struct Host {
    clone: RootClone,
    carried: tempfile::TempDir,
}

impl Host {
    fn new(packages: &[Package<'_>], scripts: &[(&str, &str)]) -> Self {
        let carried = tempfile::tempdir().unwrap();
        carry(carried.path(), packages, &["hyper"], scripts);
        let testbed = Testbed::from_env().expect("a prepared testbed");
        let clone = RootClone::new(testbed.host(), CloneOptions::default()).unwrap();
        Self { clone, carried }
    }

    fn room(&self) -> Room<'_> {
        self.room_with(&[])
    }

    /// One with these mounts as well.
    fn room_with(&self, mounts: &[Mount]) -> Room<'_> {
        let tool = PathBuf::from(env!("CARGO_BIN_EXE_cairnctl"));
        let binds = [
            Bind::read_only(tool, "/usr/local/sbin/cairnctl"),
            Bind::read_only(self.carried.path(), "/carried"),
        ];
        let mounts: Vec<Mount> = binds.map(Into::into).into_iter().chain(mounts.iter().cloned()).collect();
        self.clone.room(&mounts).unwrap()
    }

    /// Installs a package by hand.
    fn has(&self, room: &Room<'_>, package: Package<'_>, scripts: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let file = build(folder.path(), package, scripts);
        self.clone.write("/root/own.deb", 0o644, std::fs::read(file).unwrap()).unwrap();
        room.run(["dpkg", "--install", "/root/own.deb"]).unwrap().checked().unwrap();
    }
}

fn packages(room: &Room<'_>, words: &[&str]) -> Output {
    room.run(
        Invocation::new("cairnctl")
            .args(["packages", "--from", "/carried", "--yes"])
            .args(words.iter().copied()),
    )
    .unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, sentence: &str) -> String {
    let said = format!("{}\n{}", output.stdout_text(), output.stderr_text());
    assert_eq!(output.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "{said}\ndoes not say: {sentence}");
    said
}

/// Name, version and state of these, without those that are only known by name.
fn installed(room: &Room<'_>, names: &[&str]) -> String {
    let words = ["--show", "--showformat=${Package} ${Version} ${db:Status-Abbrev}\n"];
    let listed = room.run(Invocation::new("dpkg-query").args(words).args(names.iter().copied())).unwrap();
    let text = listed.stdout_text();
    text.lines().map(str::trim).filter(|line| !line.ends_with(" un")).collect::<Vec<_>>().join("\n")
}

/// What of the host's own ways to its packages could have been changed.
fn sources(room: &Room<'_>) -> String {
    let listed = "find /etc/apt /var/lib/apt/lists /var/cache/apt -type f -exec sha256sum {} + | sort; ls -A /var/cache";
    room.run(Invocation::sh(listed)).unwrap().checked().unwrap().stdout_text()
}

#[test]
fn a_bare_host_is_given_what_its_role_needs_and_nothing_else_changes() {
    let host = Host::new(&CARRIED, &[]);
    let room = host.room();
    let before = sources(&room);
    let plan =
        expect(&packages(&room, &["--dry-run"]), 0, "install 2 packages (1 MB):\n  hyper 2.0-1\n  lower 1.5");
    assert!(!plan.contains("friend") && installed(&room, &["hyper"]).is_empty(), "{plan}");
    expect(
        &packages(&room, &["--role", "server"]),
        0,
        "a host of role server needs no packages of debian-12",
    );
    expect(&packages(&room, &[]), 0, "the packages of debian-12 are installed");
    assert_eq!(installed(&room, &["lower", "hyper"]), "hyper 2.0-1 ii\nlower 1.5 ii");
    expect(&packages(&room, &[]), 0, "all packages are there; nothing to do");
    assert_eq!(sources(&room), before);
    let marked = room.run(["apt-mark", "showauto", "lower", "hyper"]).unwrap().stdout_text();
    assert_eq!(marked, "lower", "only what was asked for counts as asked for");
}

#[test]
fn what_is_there_and_good_enough_stays_and_what_is_too_old_becomes_newer_with_its_siblings() {
    let host = Host::new(&CARRIED, &[]);
    let room = host.room();
    host.has(&room, ("lower", "1.3", ""), &[]);
    let plan = expect(&packages(&room, &["--dry-run"]), 0, "install 1 packages");
    assert!(!plan.contains("lower"), "{plan}");
    drop(room);

    let host = Host::new(&CARRIED, &[]);
    let room = host.room();
    host.has(&room, ("lower", "1.1", ""), &[]);
    host.has(&room, ("friend", "1.1", "Depends: lower (= 1.1)\n"), &[]);
    let upgraded = "upgrade 2 packages that these need newer:\n  friend 1.1 -> 1.5\n  lower 1.1 -> 1.5";
    expect(&packages(&room, &[]), 0, upgraded);
    assert_eq!(
        installed(&room, &["lower", "friend", "hyper"]),
        "friend 1.5 ii\nhyper 2.0-1 ii\nlower 1.5 ii"
    );
}

#[test]
fn newer_ones_stay_and_nothing_is_removed() {
    let host = Host::new(&CARRIED, &[]);
    let room = host.room();
    host.has(&room, ("lower", "3.0", ""), &[]);
    host.has(&room, ("hyper", "9.0", ""), &[]);
    expect(&packages(&room, &[]), 0, "all packages are there; nothing to do");
    drop(room);

    for fields in ["Conflicts: hyper\n", "Breaks: lower (>= 1.4)\nConflicts: hyper\n"] {
        let host = Host::new(&CARRIED, &[]);
        let room = host.room();
        host.has(&room, ("stranger", "1", fields), &[]);
        expect(
            &packages(&room, &[]),
            8,
            "would remove `stranger` 1, which this host has; nothing is ever removed",
        );
        assert_eq!(installed(&room, &["lower", "hyper", "stranger"]), "stranger 1 ii");
        assert!(
            !room.run(["test", "-e", "/var/cache/cairn-packages"]).unwrap().success(),
            "something is left"
        );
    }
    let host = Host::new(&[("hyper", "2.0-1", "Depends: lower (>= 1.2)\n"), ("lower", "1.1", "")], &[]);
    let sentence = "cannot be installed beside what this host has (hyper : Depends: lower (>= 1.2)";
    expect(&packages(&host.room(), &[]), 3, sentence);
}

/// Has a process hold the lock of the package manager until something is written to /root/go.
fn hold_the_lock(room: &Room<'_>) {
    // perl is part of every Debian; the lock is one of fcntl's, as dpkg's are.
    let hold = "perl -e 'use Fcntl qw(:DEFAULT :flock); use POSIX; open(F, \"+>\", \"/var/lib/dpkg/lock-frontend\") or die; \
                $l = pack(\"s s x4 l! l! i x4\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; open(R, \">\", \"/root/held\"); close(R); \
                open(P, \"<\", \"/root/go\"); ' </dev/null >/dev/null 2>&1 & \
                until [ -e /root/held ]; do sleep 0.1; done";
    room.run(Invocation::sh(&format!("mkfifo /root/go; {hold}"))).unwrap().checked().unwrap();
}

#[test]
fn somebody_elses_lock_is_waited_for_and_then_named() {
    let host = Host::new(&CARRIED, &[]);
    let room = host.room();
    hold_the_lock(&room);
    let said = expect(&packages(&room, &["--wait", "0"]), 5, "holds `/var/lib/dpkg/lock-frontend`");
    assert!(said.contains("(`perl`)"), "{said}");
    // Who waits goes on when the other one has ended.
    let both = "cairnctl packages --from /carried --yes >/root/said 2>&1 & until grep -q waiting /root/said; do sleep 0.1; done; \
                : >/root/go; wait $!";
    room.run(Invocation::sh(both)).unwrap().checked().unwrap();
    assert_eq!(installed(&room, &["hyper"]), "hyper 2.0-1 ii");
}

#[test]
fn what_was_interrupted_is_finished_first_whoever_began_it() {
    // Its script kills the package manager the first time, as a power cut would.
    let postinst = "#!/bin/sh\nif [ ! -e /root/cut ]; then : >/root/cut; kill -KILL $PPID; fi\n";
    let host = Host::new(&CARRIED, &[("postinst", postinst)]);
    let room = host.room();
    let failed = expect(&packages(&room, &[]), 7, "apt could not install packages: ");
    assert!(failed.contains("it goes on where this ended"), "{failed}");
    expect(&packages(&room, &["--dry-run"]), 0, "finish what the package manager was interrupted in");
    expect(&packages(&room, &[]), 0, "the packages of debian-12 are installed");
    assert_eq!(installed(&room, &["lower", "hyper"]), "hyper 2.0-1 ii\nlower 1.5 ii");
    assert_eq!(room.run(["dpkg", "--audit"]).unwrap().checked().unwrap().stdout_text(), "");
}

#[test]
fn another_system_and_a_damaged_package_are_refused() {
    let host = Host::new(&CARRIED, &[]);
    let package = host.carried.path().join(distribution::FOLDER).join("hyper_2.0-1_amd64.deb");
    let mut bytes = std::fs::read(&package).unwrap();
    bytes[300] ^= 1;
    std::fs::write(package, bytes).unwrap();
    let room = host.room();
    expect(&packages(&room, &[]), 2, "is not the file that was packed");
    assert_eq!(installed(&room, &["lower"]), "");
    host.clone.write("/etc/os-release", 0o644, "ID=debian\nVERSION_ID=\"13\"\n").unwrap();
    expect(&packages(&room, &[]), 3, "this host is debian-13, and the file carries packages of: debian-12");
}
