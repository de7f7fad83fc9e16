//! From one release to the other and back while a virtual machine runs, on a file system that takes O_DIRECT, where release
//! 0.9 can run one.

use xtask_testbed::guest::{self, Kind};

use super::{Story, release};
use crate::host::{FILE, Host, UNITS, expect};

const TOOL: &str = "/opt/cairn/current/bin/cairnctl";

/// A unit that will not start, but with release 0.9.
const UNLUCKY: &str =
    "[Service]\nExecStartPre=/bin/sh -c 'readlink /opt/cairn/current | grep -qx versions/0.9'\n";

pub fn tell(story: &Story) {
    let host = &story.host;
    host.user(["storage", "create", "disk", "--path", "/srv/machines"]);
    host.0.write("/home/steady.raw", 0o600, guest::disk(Kind::Answering)).unwrap();
    host.user(["image", "import", "steady", "--source", "/home/steady.raw", "--storage", "disk", "--wait"]);
    host.user([
        "vm", "create", "steady", "--image", "steady", "--memory", "64M", "--accel", "tcg", "--start",
        "--wait",
    ]);
    let qemu = pid(host);
    refused_to_be_removed(host);

    host.0.copy_in(release("0.9fix"), FILE, 0o644).unwrap();
    a_bad_upgrade_returns_by_itself(story, &qemu);

    let said = expect(&host.cairn(["upgrade", "--yes"]), 0, "cairn 0.9fix is installed");
    assert!(said.contains("stop cairn-server.service ... ok"), "{said}");
    is_well(story, "0.9fix", &qemu);
    let present = host.says(["ls", "/var/lib/cairn/backups"]);
    assert_eq!(present.trim(), "1-0.9");

    // Both releases have the same migrations: back and forth with the data that there is.
    expect(&host.run([TOOL, "rollback", "--yes"]), 0, "cairn 0.9 is installed");
    is_well(story, "0.9", &qemu);
    killed_on_the_way(story, &qemu);
    is_well(story, "0.9fix", &qemu);

    host.user(["vm", "force-off", "steady", "--wait"]);
    host.user(["vm", "delete", "steady", "--volumes", "--wait"]);
    host.user(["image", "delete", "steady", "--wait"]);
    host.user(["storage", "delete", "disk"]);
}

fn pid(host: &Host) -> String {
    host.says(["cat", "/run/libvirt/qemu/steady.pid"])
}

/// The services run this version, with the data from before, and the virtual machine never stopped.
#[track_caller]
fn is_well(story: &Story, version: &str, qemu: &str) {
    let host = &story.host;
    host.assert_healthy();
    assert_eq!(host.version(), version);
    expect(&host.run([TOOL, "verify"]), 0, "is installed as it was packed");
    assert_eq!(pid(host), qemu);
    assert!(host.says(["virsh", "domstate", "steady"]).contains("running"));
    // The token is one from before.
    assert!(story.api("vms").to_string().contains("steady"));
    host.wait_until(Host::logs_in);
    host.wait_until(|host| host.json(["vm", "show", "steady"])["state"] == "running");
}

fn refused_to_be_removed(host: &Host) {
    let runs = host.runs();
    expect(&host.run([TOOL, "uninstall", "--yes"]), 8, "virtual machines run here: `steady`");
    assert_eq!(host.runs(), runs);
}

fn a_bad_upgrade_returns_by_itself(story: &Story, qemu: &str) {
    let host = &story.host;
    let changes = format!("/etc/systemd/system/{}.d", UNITS[1]);
    host.says(["mkdir", &changes]);
    host.0.write(format!("{changes}/unlucky.conf"), 0o644, UNLUCKY).unwrap();
    host.says(["systemctl", "daemon-reload"]);
    let before = host.listing();
    let said = expect(&host.cairn(["upgrade", "--yes"]), 6, "everything was put back as it was");
    assert!(said.contains("failed: start cairn-agent.service"), "{said}");
    assert_eq!(host.changes_since(&before), [""; 0]);
    is_well(story, "0.9", qemu);
    host.says(["rm", "-r", &changes]);
    host.says(["systemctl", "daemon-reload"]);
}

/// Killed while the services are down, before and after the link is switched; put back, and gone on with.
fn killed_on_the_way(story: &Story, qemu: &str) {
    let host = &story.host;
    let mut place = 0;
    for step in ["stop cairn-agent.service", "start cairn-agent.service"] {
        // Found by counting, since the places depend on the plan. One of them all is enough here.
        loop {
            let fault = format!("CAIRN_FAULT=kill:{place}");
            let killed = host.run(["env", &fault, "sh", FILE, "upgrade", "--yes"]);
            assert!(!killed.success(), "`{step}` was not come by");
            place += 4;
            if killed.stdout_text().contains(step) {
                break;
            }
            expect(&host.cairn(["upgrade", "--undo"]), 0, "");
        }
        if step.starts_with("stop") {
            expect(
                &host.cairn(["upgrade", "--undo"]),
                0,
                "the upgrade of cairn from 0.9 to 0.9fix was interrupted",
            );
            is_well(story, "0.9", qemu);
        } else {
            expect(&host.cairn(["upgrade", "--yes"]), 0, "going on:");
        }
    }
}
