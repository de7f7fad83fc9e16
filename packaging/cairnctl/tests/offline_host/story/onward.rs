//! From release 0.9fix to the version of this tree and back: it speaks another version of the protocol between server and agent, has
//! another database, and brings a timer, which is there with it and gone without it. A virtual machine runs all the time.

use super::Story;
use crate::host::{FILE, Host, UNITS, expect};
use crate::support::run_file;

const TOOL: &str = "/opt/cairn/current/bin/cairnctl";
const TIMER: &str = "cairn-backup.timer";
const STAMP: &str = "/var/lib/systemd/timers/stamp-cairn-backup.timer";

/// A unit that will not start, but with release 0.9fix.
const UNLUCKY: &str =
    "[Service]\nExecStartPre=/bin/sh -c 'readlink /opt/cairn/current | grep -qx versions/0.9fix'\n";

pub fn tell(story: &Story) {
    let host = &story.host;
    host.user(["vm", "start", "web", "--wait"]);
    let qemu = pid(host);
    let (units, wanted) = (known(host), wanted(host));
    assert!(!units.contains("backup"), "{units}");
    host.0.copy_in(run_file(), FILE, 0o644).unwrap();

    let drop_in = format!("/etc/systemd/system/{}.d", UNITS[1]);
    host.says(["mkdir", &drop_in]);
    host.0.write(format!("{drop_in}/unlucky.conf"), 0o644, UNLUCKY).unwrap();
    host.says(["systemctl", "daemon-reload"]);
    let before = host.listing();
    expect(&host.cairn(["upgrade", "--yes"]), 6, "everything was put back as it was");
    // Its guest goes on meanwhile, and writes.
    let mut changes = host.changes_since(&before);
    changes.retain(|line| !line.starts_with("~ /var/log/cairn/console/"));
    assert_eq!(changes, [""; 0]);
    let is_as_before = |host: &Host| {
        host.assert_healthy();
        assert_eq!(
            (known(host), self::wanted(host), host.has(STAMP)),
            (units.clone(), wanted.clone(), false)
        );
        assert_eq!((host.version().as_str(), pid(host)), ("0.9fix", qemu.clone()));
        host.wait_until(|host| host.logs_in() && host.json(["vm", "show", "web"])["state"] == "running");
    };
    is_as_before(host);
    host.says(["rm", "-r", &drop_in]);
    host.says(["systemctl", "daemon-reload"]);

    expect(&host.cairn(["upgrade", "--yes"]), 0, "is installed");
    host.assert_healthy();
    assert_eq!(pid(host), qemu);
    for (question, answer) in [("is-active", "active"), ("is-enabled", "enabled")] {
        assert_eq!(host.run(["systemctl", question, TIMER]).stdout_text(), answer);
    }
    assert_eq!(host.run(["systemctl", "is-enabled", "cairn-backup.service"]).stdout_text(), "static");
    assert!(host.has(STAMP) && self::wanted(host).contains(TIMER));
    host.wait_until(|host| host.logs_in() && host.json(["vm", "show", "web"])["state"] == "running");
    // The token is one from before, and so is what the agent knows of the machine.
    let disk = story.api("vms/web")["disks"][0].clone();
    assert_eq!(disk["cache"]["mode"], "writeback", "{disk}");
    expect(&host.run([TOOL, "doctor"]), 0, "cairn-backup.timer is active");

    // Its database has gone on, which 0.9fix cannot read.
    expect(&host.run([TOOL, "rollback", "--yes"]), 8, "--restore-backup");
    expect(&host.run([TOOL, "rollback", "--yes", "--restore-backup"]), 0, "cairn 0.9fix is installed");
    is_as_before(host);

    host.user(["vm", "force-off", "web", "--wait"]);
}

fn pid(host: &Host) -> String {
    host.says(["cat", "/run/libvirt/qemu/web.pid"])
}

/// What systemd knows of the product, with how each unit is started.
fn known(host: &Host) -> String {
    host.says(["systemctl", "list-unit-files", "--all", "--plain", "--no-legend", "cairn*"])
}

/// What is started at boot.
fn wanted(host: &Host) -> String {
    host.says(["find", "/etc/systemd/system", "-type", "l"])
}
