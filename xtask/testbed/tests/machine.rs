//! Booted machines.

mod support;

use std::time::{Duration, Instant};
use support::{left_over, testbed};
use xtask_testbed::{Bind, Device, Invocation, Listing, Machine, MachineOptions};

fn boot() -> Machine {
    Machine::boot(testbed().host(), MachineOptions::default()).expect("boot")
}

#[test]
fn it_boots_has_only_loopback_and_leaves_nothing() {
    let mut machine = boot();
    let run = |machine: &Machine, words: Invocation| machine.run(words).expect("run").stdout_text();
    assert_eq!(run(&machine, ["systemctl", "is-system-running"].into()), "running", "{}", machine.console());
    let devices = run(&machine, ["ip", "-brief", "link"].into());
    assert!(devices.starts_with("lo ") && devices.lines().count() == 1, "{devices}");
    assert_eq!(run(&machine, ["cat", "/proc/1/comm"].into()), "systemd");
    assert_eq!(run(&machine, ["stat", "--file-system", "--format=%T", "/tmp"].into()), "overlayfs");
    assert_eq!(run(&machine, ["systemd-run", "--wait", "--pipe", "--quiet", "echo", "unit"].into()), "unit");
    let echoed = machine.run_with_stdin(["cat"], "text").expect("run");
    assert_eq!(echoed.stdout, b"text");
    let name = machine.name().to_owned();
    assert!(!left_over(&name).is_empty(), "the check itself sees a running machine");
    machine.poweroff().expect("poweroff");
    machine.poweroff().expect("once is enough");
    assert!(machine.run(["true"]).expect_err("off").to_string().contains("`start`"));
    drop(machine);
    assert_eq!(left_over(&name), Vec::<String>::new());
}

#[test]
fn a_reboot_and_a_poweroff_keep_files_and_enabled_units() {
    let mut machine = boot();
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo started >> /var/lib/count'\n\
                [Install]\nWantedBy=multi-user.target\n";
    machine.write("/etc/systemd/system/count.service", 0o644, unit).expect("write");
    machine.run(["systemctl", "enable", "count.service"]).expect("run").checked().expect("enabled");
    let id = machine.read("/etc/machine-id").expect("read");
    machine.reboot().expect("reboot");
    machine.poweroff().expect("poweroff");
    assert_eq!(machine.read("/var/lib/count").expect("read while off"), b"started\n");
    machine.start().expect("start");
    assert_eq!(machine.read("/var/lib/count").expect("read"), b"started\nstarted\n");
    assert_eq!(machine.read("/etc/machine-id").expect("read"), id);
}

#[test]
fn one_that_turns_itself_off_is_off() {
    let mut machine = boot();
    // The answer may get lost in the shutdown.
    let _ = machine.run(["systemctl", "poweroff"]);
    let start = Instant::now();
    while machine.run(["true"]).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(120), "{}", machine.console());
    }
    assert!(machine.read("/etc/hostname").is_ok(), "its files are there");
    machine.start().expect("start");
    assert!(machine.start().expect_err("on").to_string().contains("is on already"));
    assert_eq!(machine.run(["hostname"]).expect("run").stdout_text(), "host");
}

#[test]
fn two_at_once_and_dropped_while_running() {
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(boot);
        let two = scope.spawn(boot);
        (one.join().expect("one"), two.join().expect("two"))
    });
    one.write("/root/mine", 0o600, "one").expect("write");
    assert!(two.read("/root/mine").is_err());
    let ids = [&one, &two].map(|machine| machine.read("/etc/machine-id").expect("read"));
    assert_ne!(ids[0], ids[1]);
    let names = [one.name().to_owned(), two.name().to_owned()];
    assert_ne!(names[0], names[1]);
    drop((one, two));
    for name in names {
        assert_eq!(left_over(&name), Vec::<String>::new());
    }
}

#[test]
fn it_has_the_devices_and_files_it_was_given() {
    let shared = tempfile::tempdir().expect("folder");
    std::fs::write(shared.path().join("file"), "shared").expect("file");
    let binds = vec![Bind::read_only(shared.path(), "/srv/shared")];
    let options = MachineOptions { devices: vec![Device::Kvm, Device::Tun], binds, ..Default::default() };
    let mut machine = Machine::boot(testbed().host(), options).expect("boot");
    for _ in 0..2 {
        assert_eq!(machine.read("/srv/shared/file").expect("read"), b"shared");
        let look = machine.run(["stat", "--format=%F %t %T %a %G", "/dev/kvm"]).expect("run");
        assert_eq!(look.stdout_text(), "character special file a e8 660 kvm");
        machine.run(["test", "-c", "/dev/net/tun"]).expect("run").checked().expect("tun");
        machine.reboot().expect("reboot");
    }
    let bridge =
        "ip link add br0 type bridge && ip tuntap add dev tap0 mode tap && ip link set tap0 master br0";
    machine.run(Invocation::sh(bridge)).expect("run").checked().expect("a bridge with a tap device");
    machine.run(["mount", "-t", "ramfs", "ramfs", "/mnt"]).expect("run").checked().expect("ramfs");
}

#[test]
fn a_listing_sees_what_a_package_leaves() {
    let machine = boot();
    let ignore = ["/run", "/tmp", "/var/log", "/var/lib/systemd", "/var/tmp", "/usr/share"];
    let before = Listing::of(&machine.path(), &ignore).expect("listing");
    assert!(before.entries().count() > 1000);
    assert!(before.entries().all(|(path, _)| !path.starts_with("/proc/1")), "/proc is not entered");
    let make = "useradd --system cairn && mkdir /opt/cairn && echo x > /opt/cairn/file";
    machine.run(Invocation::sh(make)).expect("run").checked().expect("made");
    let remove =
        "rm -r /opt/cairn && userdel cairn && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-";
    machine.run(Invocation::sh(remove)).expect("run").checked().expect("removed");
    let diff = before.diff(&Listing::of(&machine.path(), &ignore).expect("listing"));
    assert!(!diff.contains("cairn") && diff.contains("- /etc/passwd-"), "{diff}");
}
