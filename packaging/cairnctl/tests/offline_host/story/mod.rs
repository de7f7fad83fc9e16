//! The story that everything here serves, with the two packed files of the project's own history. Release 0.9 opens every
//! disk with cache mode `none`, and on a file system without O_DIRECT no virtual machine starts; release 0.9fix has a
//! setting for it. One is upgraded to the other on the same machine, while a virtual machine runs, and both are used as an
//! operator uses them: by command line, by API, and by the page in a browser. Last comes the version of this tree, and the way back.

mod after;
mod before;
mod onward;
mod page;
mod upgraded;

use std::path::PathBuf;

use serde_json::Value;
use xtask_testbed::{LinuxOptions, Write};

use crate::host::Host;
use crate::https;
use crate::support::testbed;

/// Where the file system is that does not take O_DIRECT.
const RAM: &str = "/srv/ram";

/// What QEMU says there.
const QEMU: &str = "filesystem does not support O_DIRECT";

/// The packed file of a release. `cargo xtask test` builds them at the commits that build.toml pins.
fn release(version: &str) -> PathBuf {
    let folder = std::env::var_os("CAIRN_RELEASES");
    let folder = folder.expect("CAIRN_RELEASES names no folder; run `cargo xtask test`, which fills one");
    PathBuf::from(folder).join(format!("cairn-all-in-one-{version}-x86_64.run"))
}

#[test]
fn a_disk_that_did_not_start_starts() {
    if page::is_asked_for() {
        return page::look();
    }
    let say = |line: &str| eprintln!("{line}");
    let root = testbed().virt(&say).unwrap().with(&testbed().browser(&say).unwrap());
    let host = Host::boot_in(&root, &release("0.9"), page::options());
    host.install();
    assert_eq!(host.version(), "0.9");
    host.says(["mkdir", RAM]);
    host.says(["mount", "-t", "ramfs", "ramfs", RAM]);
    host.user(["storage", "create", "ram", "--path", &format!("{RAM}/machines")]);
    // The guest writes to the disk that it boots from, and says so.
    let options =
        LinuxOptions { write: Some(Write { disk: "vda".to_owned(), block: 200 }), ..LinuxOptions::default() };
    let disk = testbed().linux_guest(&say).unwrap().disk(&options).unwrap();
    host.0.write("/home/linux.raw", 0o600, disk).unwrap();
    host.user(["image", "import", "linux", "--source", "/home/linux.raw", "--storage", "ram", "--wait"]);
    let token = host.json(["token", "create", "story"])["secret"].as_str().unwrap().to_owned();
    let story = Story { host, token };
    before::tell(&story);

    // Data stays: the storage, the image, the password, the token.
    upgraded::tell(&story);
    after::tell(&story);
    onward::tell(&story);
}

/// Makes a virtual machine on the image, and starts it.
const CREATE: [&str; 11] =
    ["vm", "create", "web", "--image", "linux", "--memory", "192M", "--accel", "tcg", "--start", "--wait"];

/// The machine, and a token with which programs ask its server. Releases come and go, and it stays good.
struct Story {
    host: Host,
    token: String,
}

impl Story {
    /// What the API says.
    #[track_caller]
    fn api(&self, path: &str) -> Value {
        let answer = https::ask(&self.host, &format!("/api/v1/{path}"), Some(&self.token), None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let (_, body) = answer.text.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The newest task.
    #[track_caller]
    fn last_task(&self) -> Value {
        self.api("tasks")["tasks"][0].clone()
    }
}
