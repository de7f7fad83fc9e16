//! Clones and rooms, on the real root.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{left_over, testbed};
use xtask_testbed::{Bind, CloneOptions, Device, Invocation, Listing, Mount, RootClone, Upper};

fn clone() -> RootClone {
    RootClone::new(testbed().host(), CloneOptions::default()).expect("clone")
}

#[test]
fn a_command_sees_only_loopback_and_itself() {
    let clone = clone();
    let room = clone.room(&[]).expect("room");
    let run = |words: Invocation| room.run(words).expect("run").checked().expect("success").stdout_text();
    let devices = run(["ls", "/sys/class/net"].into());
    assert_eq!(devices, "lo");
    assert!(run(["ip", "-brief", "link"].into()).contains("LOOPBACK,UP"));
    assert_eq!(run(["ip", "route"].into()), "");
    assert_eq!(run(["hostname"].into()), "host");
    assert_eq!(
        run(Invocation::new("env").env("A", "b c")).lines().filter(|l| l.contains("CARGO")).count(),
        0
    );
    assert_eq!(
        run(Invocation::sh("echo \"$A-$1\"; pwd; cat").env("A", "a").arg("1").dir("/tmp").stdin("in")),
        "a-1\n/tmp\nin"
    );
    let processes = run(["ps", "-e", "-o", "comm="].into());
    assert_eq!(processes.lines().collect::<Vec<_>>(), ["sh", "cat", "ps"], "only the holder and itself");
    // Programs that write to /dev/stderr find it, and so do terminals and temporary files.
    let probe = room
        .run(Invocation::sh("echo a >/dev/stderr && echo b >/dev/stdout && : >/dev/shm/x && : </dev/null"));
    assert_eq!(probe.expect("run").checked().expect("success").stderr_text(), "a");
    assert!(room.run(["no-such-program"]).expect("run").stderr_text().contains("no-such-program"));
}

#[test]
fn mounts_do_what_they_say() {
    let shared = tempfile::tempdir().expect("folder");
    std::fs::write(shared.path().join("file"), "shared").expect("file");
    let clone = clone();
    let room = clone
        .room(&[
            Mount::tmpfs("/opt/noexec").noexec(),
            Mount::tmpfs("/opt/small").size_bytes(64 << 10),
            Mount::ramfs("/opt/ramfs"),
            Bind::read_only(shared.path(), "/mnt/read-only").into(),
            // /var/run is an absolute link: it must lead to the clone's /run.
            Bind::read_write(shared.path(), "/var/run/shared").into(),
            Bind::read_only(shared.path().join("file"), "/etc/one-file").into(),
            Device::Tun.into(),
        ])
        .expect("room");
    let sh = |script: &str| room.run(Invocation::sh(script)).expect("run");
    let refused = sh("cp /bin/true /opt/noexec/true && exec /opt/noexec/true");
    assert!(refused.stderr_text().ends_with("Permission denied"), "{}", refused.stderr_text());
    assert!(sh("cp /bin/true /opt/ramfs/true && exec /opt/ramfs/true").success());
    let full = sh("head -c 1000000 /dev/zero > /opt/small/file");
    assert!(full.stderr_text().contains("No space left"), "{}", full.stderr_text());
    let direct = sh("dd if=/dev/zero of=/opt/ramfs/file oflag=direct bs=4096 count=1");
    assert!(direct.stderr_text().contains("Invalid argument"), "{}", direct.stderr_text());
    assert!(sh(": > /mnt/read-only/new").stderr_text().contains("Read-only file system"));
    assert!(sh("cat /etc/one-file; echo new > /run/shared/new; [ -c /dev/net/tun ]").success());
    assert_eq!(std::fs::read_to_string(shared.path().join("new")).expect("written inside"), "new\n");
    assert_eq!(std::fs::read(room.path().join("etc/one-file")).expect("seen from outside"), b"shared");
}

#[test]
fn what_a_room_leaves_running_is_reaped_and_ends_with_it() {
    let clone = clone();
    let room = clone.room(&[]).expect("room");
    let pid = room.run(Invocation::sh("sleep 1000 >/dev/null 2>&1 & echo $!")).expect("run").stdout_text();
    assert!(room.run(["kill", "-0", &pid]).expect("run").success(), "still there for the next command");
    room.run(["kill", &pid]).expect("run").checked().expect("killed");
    let gone = Invocation::sh("while kill -0 \"$1\" 2>/dev/null; do sleep 0.01; done").arg(pid);
    room.run(gone.limit(Duration::from_secs(60))).expect("an orphan that ended is reaped");
    room.run(Invocation::sh("sleep 1000 >/dev/null 2>&1 &")).expect("run").checked().expect("started");
    let name = clone.name().to_owned();
    drop(room);
    assert_eq!(
        clone.run(["ps", "-e", "-o", "comm="]).expect("run").stdout_text().matches("sleep").count(),
        0
    );
    drop(clone);
    assert_eq!(left_over(&name), Vec::<String>::new());
}

#[test]
fn files_go_in_and_out_and_no_other_clone_sees_them() {
    let (one, two) = (clone(), RootClone::new(testbed().host(), memory()).expect("clone in memory"));
    one.write("/var/run/deep/file", 0o755, "#!/bin/sh\necho ran\n").expect("write");
    assert_eq!(one.run(["/run/deep/file"]).expect("run").stdout_text(), "ran");
    one.copy_in("/proc/self/cmdline", "/root/copied", 0o600).expect("copy");
    assert_eq!(two.read("/etc/hostname").expect("read"), b"host\n");
    two.run(["rm", "-r", "/usr/share/doc"]).expect("run").checked().expect("removed");
    two.run(["mv", "/usr/share/bash-completion", "/usr/share/moved"])
        .expect("run")
        .checked()
        .expect("renamed");
    let before = Listing::of(&one.path().join("root"), &[]).expect("listing");
    let after = Listing::of(&two.path().join("root"), &[]).expect("listing");
    assert!(before.diff(&after).starts_with("- /copied  file 0600 0:0 "), "{}", before.diff(&after));
    assert!(one.path().join("usr/share/doc").exists() && !two.path().join("usr/share/doc").exists());
    let names = [one.name().to_owned(), two.name().to_owned()];
    drop((one, two));
    for name in names {
        assert_eq!(left_over(&name), Vec::<String>::new());
    }
}

fn memory() -> CloneOptions {
    CloneOptions { upper: Upper::Memory { size_bytes: 256 << 20 } }
}

#[test]
fn shells_for_tests_of_scripts_are_there_and_the_host_looks_bare() {
    let clone = clone();
    let room = clone.room(&[]).expect("room");
    for shell in [&["dash"][..], &["bash"], &["/usr/lib/testbed/busybox", "sh"]] {
        let run = room.run(Invocation::new(shell[0]).args(&shell[1..]).args(["-c", "echo $((6 * 7))"]));
        assert_eq!(run.expect("run").stdout_text(), "42", "{shell:?}");
    }
    for absent in ["qemu-system-x86_64", "libvirtd", "curl", "wget", "python3", "busybox"] {
        let look = room.run(Invocation::sh("command -v \"$1\"").arg(absent)).expect("run");
        assert!(!look.success(), "`{absent}` is there");
    }
    let busybox = testbed().busybox();
    assert!(Command::new(busybox).arg("true").status().expect("a static busybox").success());
}

#[test]
fn many_at_once_do_not_meet() {
    std::thread::scope(|scope| {
        for number in 0..6 {
            scope.spawn(move || {
                let clone = clone();
                let script = "echo \"$1\" > /root/mine; cat /root/mine; hostname \"n$1\"; hostname";
                let output = clone.run(Invocation::sh(script).arg(number.to_string())).expect("run");
                assert_eq!(output.stdout_text(), format!("{number}\nn{number}"));
            });
        }
    });
}

#[test]
fn what_takes_too_long_is_killed() {
    let clone = clone();
    let start = Instant::now();
    let error = clone.run(Invocation::new("sleep").arg("1000").limit(Duration::from_millis(200)));
    assert!(format!("{:#}", error.expect_err("too long")).contains("`sleep 1000`"));
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// What the test below runs in a process of its own, to kill it.
fn be_the_victim() {
    let clone = clone();
    let room = clone.room(&[Mount::tmpfs("/opt")]).expect("room");
    room.run(Invocation::sh("sleep 1000 >/dev/null 2>&1 &")).expect("run").checked().expect("started");
    println!("victim {}", clone.name());
    let _ = room.run(Invocation::new("sleep").arg("1000"));
}

#[test]
fn nothing_runs_on_when_the_test_is_killed() {
    const VICTIM: &str = "TESTBED_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        return be_the_victim();
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "nothing_runs_on_when_the_test_is_killed", "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the victim");
    let lines = BufReader::new(child.stdout.take().expect("pipe")).lines();
    let name = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("victim ")?.1.to_owned()));
    let name = name.expect("the name of its clone");
    assert!(left_over(&name).iter().any(|what| what.contains("mountinfo")), "it is mounted");
    kill_process(Pid::from_child(&child), Signal::KILL).expect("killed");
    child.wait().expect("reaped");
    let start = Instant::now();
    // The folder stays for the next sweep; processes and mounts go at once.
    while left_over(&name).iter().any(|what| what.starts_with("process")) {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", left_over(&name));
        std::thread::sleep(Duration::from_millis(20));
    }
    testbed().sweep().expect("sweep");
    assert_eq!(left_over(&name), Vec::<String>::new());
}
