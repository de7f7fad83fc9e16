//! From the packed file to a virtual machine, on a host with libvirt and QEMU: by the commands that an operator types,
//! under the units as they are installed.

use xtask_testbed::guest::{self, Kind};
use xtask_testbed::{Invocation, MachineOptions};

use crate::host::{FILE, Host, expect};
use crate::support::{run_file, testbed};
use crate::{pair, readme};

impl Host {
    /// What `cairn vm show web` says, as JSON.
    fn web(&self) -> serde_json::Value {
        self.json(["vm", "show", "web"])
    }

    fn is_up(&self, times: usize) -> bool {
        self.user(["vm", "console", "web"]).matches("GUEST-UP").count() >= times
    }
}

#[test]
fn from_the_file_to_a_virtual_machine() {
    let virt = testbed().virt(&|line| eprintln!("{line}")).unwrap();
    let host = Host::boot_in(&virt, &run_file(), MachineOptions::default());
    // What an operator has there: the file by its name, and an image.
    host.says(["ln", FILE, "/root/cairn-all-in-one-0.9fix-x86_64.run"]);
    host.0.write("/root/guest.raw", 0o600, guest::disk(Kind::Answering)).unwrap();
    host.says(["qemu-img", "convert", "-O", "qcow2", "/root/guest.raw", "/root/debian.qcow2"]);
    readme::is_what_happens(&host);
    host.assert_healthy();

    host.wait_until(|host| host.is_up(1));
    assert!(host.says(["virsh", "domstate", "web"]).contains("running"));
    let web = host.web();
    let cache = &web["disks"][0]["cache"];
    assert_eq!(
        (&web["state"], &cache["mode"], &cache["direct"]),
        (&"running".into(), &"none".into(), &true.into()),
        "{web}"
    );

    modes_are_put_into_force_while_it_runs(&host);

    // Neither the agent nor libvirt is needed by what runs.
    let pid = host.says(["cat", "/run/libvirt/qemu/web.pid"]);
    host.says(["systemctl", "restart", "libvirtd.service", "cairn-agent.service", "cairn-server.service"]);
    // Nobody has to log in anew.
    host.wait_until(|host| {
        let command = Invocation::new("/opt/cairn/current/bin/cairn").args(["vm", "pause", "web", "--wait"]);
        host.0.run(command.env("HOME", "/root")).unwrap().success()
    });
    assert!(host.says(["virsh", "domstate", "web"]).contains("paused"));
    host.says(["virsh", "resume", "web"]);
    host.wait_until(|host| host.web()["state"] == "running");
    assert_eq!(host.says(["cat", "/run/libvirt/qemu/web.pid"]), pid);

    host.user(["vm", "reboot", "web", "--wait"]);
    host.wait_until(|host| host.is_up(2));
    host.user(["vm", "shutdown", "web", "--wait"]);
    assert_eq!(host.web()["state"], "shutoff");
    host.user(["vm", "delete", "web", "--volumes", "--wait"]);
    assert_eq!(host.says(["virsh", "list", "--all", "--name"]).trim(), "");
    host.user(["image", "delete", "debian", "--wait"]);
    assert_eq!(host.says(["find", "/var/lib/cairn/storage", "-type", "f"]), "");
    a_file_system_without_o_direct_is_used_through_the_page_cache(&host);
    assert_eq!(host.trouble(), "");
    pair::a_second_host_joins_and_runs_a_machine(&host, &virt);
}

/// From the command line to QEMU's descriptors and back: what is set is offered, applied, shown, and told by the task. The guest
/// and libvirt's description notice nothing.
fn modes_are_put_into_force_while_it_runs(host: &Host) {
    let volume = host.json(["volume", "show", "web-root"]);
    let path = volume["path"].as_str().unwrap();
    let pid = host.says(["cat", "/run/libvirt/qemu/web.pid"]);
    assert!(host.has_open_direct("web", path));
    let tried = host.user(["config", "set", "vm.cacheMode", "writeback", "--dry-run"]);
    assert!(tried.contains("1 running virtual machine can change live; nothing was changed"), "{tried}");
    host.user(["vm", "cache", "set", "web", "writeback"]);
    assert!(host.has_open_direct("web", path), "nothing was applied yet");
    is_applied(host, path, "writeback", "vm");
    host.user(["volume", "cache", "set", "web-root", "unsafe", "--accept-loss"]);
    is_applied(host, path, "unsafe", "volume");
    host.user(["volume", "cache", "clear", "web-root"]);
    is_applied(host, path, "writeback", "vm");
    host.user(["vm", "cache", "clear", "web"]);
    is_applied(host, path, "none", "global");
    let explained = host.user(["volume", "explain", "web-root"]);
    assert!(explained.contains("in force   none: ") && explained.contains("found now"), "{explained}");
    // What the guest would notice is refused before anything is done.
    host.user(["vm", "cache", "set", "web", "writethrough"]);
    let refused = expect(&host.cairn_cli(["vm", "apply-cache", "web", "--wait"]), 8, "this needs a restart");
    assert!(refused.contains("cairn vm reboot web"), "{refused}");
    assert!(host.has_open_direct("web", path));
    host.user(["vm", "cache", "clear", "web"]);
    assert_eq!(host.says(["cat", "/run/libvirt/qemu/web.pid"]), pid);
    assert!(host.says(["virsh", "dumpxml", "web"]).contains("cache='none'"));
}

/// Puts into force what is set for the root disk of `web`, and sees what came of it.
#[track_caller]
fn is_applied(host: &Host, path: &str, mode: &str, level: &str) {
    assert_eq!(host.web()["disks"][0]["pending"], "live", "{mode}");
    let task = host.json(["vm", "apply-cache", "web", "--wait"]);
    assert_eq!((&task["action"], &task["state"]), (&"vm_apply_cache".into(), &"succeeded".into()), "{task}");
    assert_eq!(task["steps"].as_array().unwrap().len(), 1, "{task}");
    let web = host.web();
    let (disk, cache) = (&web["disks"][0], &web["disks"][0]["cache"]);
    assert_eq!((&cache["mode"], &cache["set_at"]), (&mode.into(), &level.into()), "{cache}");
    assert_eq!(disk["pending"], "unchanged", "{disk}");
    let direct = mode == "none";
    assert_eq!((&cache["direct"], host.has_open_direct("web", path)), (&direct.into(), direct), "{cache}");
    assert_eq!(web["taints"].as_array().unwrap().len(), 1, "{web}");
}

/// Nobody has to set anything for that: the host finds out, and says so.
fn a_file_system_without_o_direct_is_used_through_the_page_cache(host: &Host) {
    host.says(["mkdir", "/srv/ram"]);
    host.says(["mount", "-t", "ramfs", "ramfs", "/srv/ram"]);
    host.user(["storage", "create", "ram", "--path", "/srv/ram/machines"]);
    host.user([
        "vm",
        "create",
        "web",
        "--size",
        "1M",
        "--storage",
        "ram",
        "--memory",
        "64M",
        "--accel",
        "tcg",
        "--start",
        "--wait",
    ]);
    let cache = &host.web()["disks"][0]["cache"];
    assert_eq!((&cache["mode"], &cache["direct"]), (&"writeback".into(), &false.into()), "{cache}");
    assert!(cache["reason"].as_str().unwrap().contains("`/srv/ram` (ramfs) refuses O_DIRECT"), "{cache}");
    host.user(["vm", "delete", "web", "--volumes", "--wait"]);
    assert_eq!(host.says(["find", "/srv/ram/machines", "-type", "f"]), "");
}
