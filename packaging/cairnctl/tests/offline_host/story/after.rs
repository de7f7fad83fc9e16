//! Release 0.9fix: the machine starts, in the mode that its file system takes or that an operator has set.

use serde_json::Value;
use xtask_testbed::LinuxGuest;

use super::{CREATE, RAM, Story, page};
use crate::host::{Host, expect};

pub fn tell(story: &Story) {
    let host = &story.host;
    let setting = story.api("config/vm.cacheMode");
    assert_eq!((&setting["value"], &setting["category"]), (&"auto".into(), &"kvm".into()), "{setting}");
    // The page of release 0.9 knows no key by name.
    page::tells(
        host,
        "#/config",
        "Global Config",
        "settings of 0.9fix",
        &["vm.cacheMode", "directsync", "unsafe"],
    );

    // `auto`: started, and the guest writes.
    host.user(CREATE);
    runs_in(story, "writeback", "auto", 1);
    let web = story.api("vms/web");
    let why =
        "asked for `auto`, which is `writeback` here: `/srv/ram` (ramfs) refuses O_DIRECT (Invalid argument)";
    let reason = web["disks"][0]["cache"]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
    let place = format!("#/vm/{}", web["id"].as_str().unwrap());
    page::tells(host, &place, "web", "running in 0.9fix", &["running", "writeback", "refuses O_DIRECT"]);

    none_is_refused_before_libvirt_is_asked(story);
    // The second one in an old spelling of key and value.
    for (boots, key, value, mode) in
        [(2, "vm.cacheMode", "writethrough", "writethrough"), (3, "vm.CacheMode", "2", "writeback")]
    {
        host.user(["config", "set", key, value]);
        host.user(["vm", "start", "web", "--wait"]);
        runs_in(story, mode, mode, boots);
        a_volume_attached_meanwhile_has_the_same_mode(story, mode);
        host.user(["vm", "force-off", "web", "--wait"]);
    }
    host.user(["config", "reset", "vm.cacheMode"]);
    let history = story.api("config/vm.cacheMode/history");
    let changes = history["changes"].as_array().unwrap().iter();
    let changes: Vec<_> = changes.map(|change| (change["from"].as_str(), change["to"].as_str())).collect();
    let expected =
        [("writeback", "auto"), ("writethrough", "writeback"), ("none", "writethrough"), ("auto", "none")];
    assert_eq!(changes, expected.map(|(from, to)| (Some(from), Some(to))));
}

/// The machine is off afterwards.
fn none_is_refused_before_libvirt_is_asked(story: &Story) {
    let host = &story.host;
    // What an old installation wrote for `none`.
    host.user(["config", "set", "vm.cacheMode", "0"]);
    assert_eq!(story.api("config/vm.cacheMode")["value"], "none");
    // What runs is left alone.
    assert_eq!(host.says(["virsh", "domstate", "web"]).trim(), "running");
    host.user(["vm", "force-off", "web", "--wait"]);
    let log = "/var/log/libvirt/qemu/web.log";
    let before = host.says(["cat", log]);
    let said = expect(&host.cairn_cli(["vm", "start", "web", "--wait"]), 3, "ramfs");
    assert_eq!(host.says(["cat", log]), before, "QEMU was started");
    let error = story.last_task()["error"].clone();
    assert_eq!(error["code"], "direct_io", "{error}");
    for text in [said, error.to_string()] {
        for part in [RAM, "ramfs", "none", "cairn config set vm.cacheMode auto"] {
            assert!(text.contains(part), "`{part}` is not said:\n{text}");
        }
    }
}

/// Sees that the machine runs in this mode: as the API says, as libvirt does, and by the flags of QEMU's descriptors. And
/// that its guest, which has booted so many times, has written to its disk each time.
#[track_caller]
fn runs_in(story: &Story, mode: &str, requested: &str, boots: usize) {
    let host = &story.host;
    let disk = story.api("vms/web")["disks"][0].clone();
    check(host, &disk, mode, requested);
    let lines = ["WROTE vda", LinuxGuest::BANNER];
    let all_there = |text: &str| lines.iter().all(|line| text.matches(line).count() == boots);
    // By the command line, and by the API.
    host.wait_until(|host| all_there(&host.user(["vm", "console", "web"])));
    let console = story.api("vms/web/console");
    assert!(all_there(console["text"].as_str().unwrap()), "{console}");
}

#[track_caller]
fn check(host: &Host, disk: &Value, mode: &str, requested: &str) {
    let cache = &disk["cache"];
    assert_eq!((&cache["mode"], &cache["requested"]), (&mode.into(), &requested.into()), "{disk}");
    assert_eq!(cache["direct"], false, "{disk}");
    let target = disk["target"].as_str().unwrap();
    let dumped =
        host.says(["virsh", "dumpxml", "web", "--xpath", &format!("//disk[target/@dev='{target}']")]);
    assert!(dumped.contains(&format!(r#"cache="{mode}""#)), "{dumped}");
    let path = dumped.split(r#"<source file=""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(!host.has_open_direct("web", path));
}

fn a_volume_attached_meanwhile_has_the_same_mode(story: &Story, mode: &str) {
    let host = &story.host;
    host.user(["volume", "create", mode, "--size", "8M", "--storage", "ram", "--wait"]);
    host.user(["vm", "attach", "web", mode, "--wait"]);
    let disks = story.api("vms/web")["disks"].clone();
    let disk = disks.as_array().unwrap().last().unwrap();
    assert_eq!(disk["volume_name"], mode, "{disks}");
    check(host, disk, mode, mode);
    host.user(["vm", "detach", "web", mode, "--wait"]);
}
