//! A second host: bare but for what its operating system has, with a cable to the first and no way to anywhere else. It is
//! told one command, and runs a virtual machine.

use xtask_testbed::guest::{self, Kind};
use xtask_testbed::{Invocation, Machine, MachineOptions, Root};

use crate::host::{Host, expect};

/// Addresses for documents: nobody else has them.
const FIRST: &str = "192.0.2.1";
const SECOND: &str = "192.0.2.2";

/// Where the command is typed, as it were.
const TYPED: &str = "/root/typed";

pub fn a_second_host_joins_and_runs_a_machine(first: &Host, root: &Root) {
    let second = Host(Machine::boot(root, MachineOptions::default()).unwrap());
    plug(first, &second);
    assert!(!second.has("/opt/cairn"));
    let lists = |host: &Host| host.json(["host", "list"])["hosts"].as_array().unwrap().clone();
    assert_eq!(lists(first).len(), 1);

    // The address that others reach the first by is found out: the login was to `localhost`.
    let said = first.cairn_cli(["host", "add"]);
    let command = said.stdout_text();
    assert!(command.lines().count() == 1 && command.contains(&format!("https://{FIRST}:8443/")), "{command}");
    second.0.write(TYPED, 0o600, &command).unwrap();
    let joined = second.run(["sh", TYPED]);
    expect(&joined, 0, &format!("joined {FIRST}:8443 as host"));

    // Good once.
    expect(&second.run(["sh", TYPED]), 100, "403");
    let token = command.split('\'').find(|word| word.starts_with("cairn1_")).unwrap();
    for host in [first, &second] {
        let logs = host.says(["journalctl", "--boot", "--output=cat", "--quiet", "--no-pager"]);
        assert!(!logs.contains(token), "a token is in a log");
    }

    first.wait_until(|host| {
        lists(host).iter().any(|host| host["local"] == false && host["link"]["state"] == "connected")
    });
    let far = lists(first).into_iter().find(|host| host["local"] == false).unwrap();
    assert_eq!(far["address"], format!("{SECOND}:7070"));
    let far = far["name"].as_str().unwrap();
    first.user(["storage", "create", "far", "--path", "/srv/machines", "--host", far]);
    second.0.write("/home/guest.raw", 0o600, guest::disk(Kind::Answering)).unwrap();
    first.user(["image", "import", "far", "--source", "/home/guest.raw", "--storage", "far", "--wait"]);
    first.user([
        "vm",
        "create",
        "far",
        "--image",
        "far",
        "--storage",
        "far",
        "--memory",
        "64M",
        "--accel",
        "tcg",
        "--start",
        "--wait",
    ]);
    first.wait_until(|host| host.user(["vm", "console", "far"]).contains("GUEST-UP"));
    assert!(second.says(["virsh", "domstate", "far"]).contains("running"));

    // A host that is not there any more is forgotten, and what was its own opens nothing.
    expect(&first.cairn_cli(["host", "remove", far]), 8, "virtual machines: `far`");
    expect(&first.cairn_cli(["host", "remove", far, "--forget", far]), 8, "answers");
    second.says(["systemctl", "stop", "cairn-agent.service"]);
    first.wait_until(|host| lists(host).iter().any(|host| host["link"]["state"] == "disconnected"));
    first.user(["host", "remove", far, "--forget", far]);
    second.says(["systemctl", "start", "cairn-agent.service"]);
    assert_eq!(lists(first).len(), 1);
    assert!(!first.json(["vm", "list"]).to_string().contains("far"));
    second.says(["virsh", "destroy", "far"]);
}

/// Joins the two by a cable, and sees that there is no other.
fn plug(first: &Host, second: &Host) {
    let process = |host: &Host| {
        let root = host.0.path();
        root.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    };
    let (one, other) = (process(first), process(second));
    let cable =
        ["link", "add", "cable", "netns", &one, "type", "veth", "peer", "name", "cable", "netns", &other];
    let done = std::process::Command::new("ip").args(cable).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (host, address) in [(first, FIRST), (second, SECOND)] {
        host.says(["ip", "address", "add", &format!("{address}/24"), "dev", "cable"]);
        host.says(["ip", "link", "set", "cable", "up"]);
        let routes = host.0.run(Invocation::new("ip").args(["-4", "route"])).unwrap().stdout_text();
        assert!(routes.lines().all(|route| route.starts_with("192.0.2.0/24 ")), "{routes}");
    }
}
