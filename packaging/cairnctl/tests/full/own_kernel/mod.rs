//! The offline host on a machine with a kernel and a clock of its own, in software: a minimal Debian without a network card gets
//! one file with packages and guest image, and two more to upgrade to, on a disk that it is handed. From the bare machine to a
//! virtual machine that says so on its console, through upgrades while that runs, and back.

mod host;
mod versions;

use xtask_testbed::{CloneOptions, RootClone, Testbed, Vm, VmOptions};

use crate::os_packages::file;
use host::{Host, STICK};

/// What is upgraded to.
const SECOND: &str = "0.9-second";

/// What has an agent that does not start.
const BAD: &str = "0.9-bad";

/// A day in 1970, in seconds of that year: as a clock has it that was never set. The kernel takes no time before its own start.
const IN_1970: &str = "@8640000";

/// What the agent's unit of [`BAD`] begins with.
const DOES_NOT_START: &str = "[Service]\nExecStartPre=/bin/false\n";

#[test]
fn from_a_bare_machine_to_a_running_virtual_machine_and_back() {
    let testbed = Testbed::from_env().expect("a prepared testbed");
    let say = |line: &str| eprintln!("{line}");
    let folder = tempfile::tempdir().unwrap();
    let second = versions::of(&file(), folder.path(), SECOND, &|_, _| ());
    let bad = versions::of(&file(), folder.path(), BAD, &|path, content| {
        if path == "systemd/cairn-agent.service" {
            let unit = String::from_utf8(std::mem::take(content)).unwrap();
            *content = unit.replacen("[Service]\n", DOES_NOT_START, 1).into();
        }
    });
    let (kernel, virt) = (testbed.kernel(&say).unwrap(), testbed.virt(&say).unwrap());
    let tools = RootClone::new(&virt, CloneOptions::default()).unwrap();
    let stick = [(file(), "cairn.run"), (second, "second.run"), (bad, "bad.run")];
    let options = VmOptions {
        memory_mib: 2560,
        disk_bytes: 8 << 30,
        stick: stick.map(|(from, name)| (from, name.to_owned())).into(),
    };
    let host = Host::of(Vm::boot(&kernel, &tools, &options).unwrap());

    let devices = host.says(&["ip", "-brief", "link"]);
    assert!(devices.starts_with("lo ") && devices.lines().count() == 1, "{devices}");
    assert_eq!(host.says(&["systemctl", "is-system-running"]), "running");
    assert!(!host.run(&["sh", "-c", "command -v qemu-img"]).success(), "the host is not bare");
    host.says(&["mount", "-o", "ro", "/dev/vdb", STICK]);
    let bare = host.listing();
    let units = host.units();

    a_clock_that_was_never_set_is_told_of(&host);
    host.assert_same(&bare);

    let first = installs(&host);
    let qemu = runs_a_virtual_machine(&host);

    let said = host.packed("bad.run", &["upgrade", "--yes"], 6, "everything was put back as it was");
    assert!(said.contains("failed: start cairn-agent.service"), "{said}");
    host.assert_well(&first, &qemu);
    host.packed("second.run", &["upgrade", "--yes"], 0, &format!("cairn {SECOND} is installed"));
    host.assert_well(SECOND, &qemu);
    host.tool(&["rollback", "--yes"], 0, &format!("cairn {first} is installed"));
    host.assert_well(&first, &qemu);

    host.tool(&["uninstall", "--yes", "--purge"], 8, "virtual machines run here: `first`");
    host.assert_well(&first, &qemu);
    host.user(&["vm", "force-off", "first", "--wait"]);
    host.user(&["vm", "delete", "first", "--volumes", "--wait"]);
    host.user(&["image", "delete", "guest", "--wait"]);
    host.user(&["storage", "delete", "default"]);
    host.says(&["rm", "-r", "/root/.config"]);
    host.tool(&["uninstall", "--yes", "--purge", "--remove-packages"], 0, "uninstalled");
    assert!(!host.run(&["sh", "-c", "command -v qemu-img || command -v libvirtd"]).success());
    assert_eq!(host.says(&["dpkg", "--audit"]), "");
    assert_eq!(host.units(), units);
    host.assert_same(&bare);
    host.off();
}

/// By `preflight` and `install`; the rest of what they find is good.
fn a_clock_that_was_never_set_is_told_of(host: &Host<'_>) {
    let now = host.says(&["date", "+%s"]);
    host.says(&["date", &format!("--set={IN_1970}")]);
    for verb in [&["preflight"][..], &["install", "--yes"]] {
        let said = host.packed("cairn.run", verb, 3, "FAIL  clock");
        assert!(said.contains("1970-04-11") && said.contains(", before the archive was made ("), "{said}");
        assert!(said.contains("remedy: set the clock, for example with `timedatectl set-time`"), "{said}");
        assert_eq!(said.matches("FAIL  ").count(), 1, "{said}");
    }
    host.says(&["date", &format!("--set=@{now}")]);
}

/// With the packages that the file carries. Returns the version.
fn installs(host: &Host<'_>) -> String {
    host.packed("cairn.run", &["preflight"], 0, "there is no `qemu-img`; the file brings it");
    let said = host.packed("cairn.run", &["--yes"], 0, " packages of the operating system ... ok");
    assert!(said.contains("https://host:8443/"), "{said}");
    assert!(host.says(&["qemu-system-x86_64", "--version"]).starts_with("QEMU emulator version 7.2"));
    assert_eq!(host.says(&["dpkg", "--audit"]), "");
    assert!(host.page().contains("<html"), "{}", host.page());
    let password = host.says(&["cat", "/var/lib/cairn/admin-password"]);
    host.log_in(&password);
    host.version()
}

/// From the image that the file carries, by KVM, on a processor whose virtualization is emulated as all of it is. Returns the process
/// of its QEMU.
fn runs_a_virtual_machine(host: &Host<'_>) -> String {
    host.user(&["storage", "create", "default", "--path", "/var/lib/cairn/storage"]);
    let checked = host.user(&["storage", "check", "default"]);
    assert!(checked.contains("direct"), "{checked}");
    let image = "/opt/cairn/current/share/images/cairn-guest.raw";
    host.user(&["image", "import", "guest", "--source", image, "--wait"]);
    host.user(&["vm", "create", "first", "--image", "guest", "--memory", "192M", "--start", "--wait"]);
    assert_eq!(host.vm()["effective_accel"], "kvm", "{}", host.vm());
    host.await_console("Log in as root");
    assert!(host.user(&["vm", "console", "first"]).contains("login:"));
    host.qemu()
}
