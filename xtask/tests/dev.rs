//! `cargo xtask dev`, as people run it: it starts, can be looked at, and stops.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

struct Dev {
    child: Child,
    lines: Vec<String>,
}

impl Dev {
    /// Starts it and reads what it says until both are up.
    fn start(root: &Path) -> Self {
        let mut child = xtask(root).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().starts_with("Ctrl-C") {
                return Self { child, lines };
            }
        }
        panic!("it ended with {:?}", child.wait().unwrap());
    }

    fn value(&self, name: &str) -> &str {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no `{name}` in {:?}", self.lines)).trim()
    }

    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn xtask(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("dev").arg("--root").arg(root).stdin(Stdio::null());
    command
}

fn ask(root: &Path, url: &str) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert"]);
    curl.arg(root.join("etc/cairn/tls/ca.pem")).arg(url).output().unwrap()
}

/// The processes that work below `root`, by their command lines.
fn processes(root: &Path) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(root.to_str().unwrap()) && line.ends_with("run\0")
    };
    pids.filter(ours).filter_map(Pid::from_raw).collect()
}

#[test]
fn it_starts_shows_its_page_and_stops_both() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dev");
    let dev = Dev::start(&root);
    let url = dev.value("dashboard").to_owned();
    let page = ask(&root, &url);
    assert!(page.status.success(), "{page:?}");
    assert!(String::from_utf8_lossy(&page.stdout).contains("Cairn"), "{page:?}");
    let password = dev.value("password").to_owned();
    assert!(password.ends_with(&format!("(in {}/admin-password)", root.display())), "{password}");

    let running = processes(&root);
    assert_eq!(running.len(), 2);
    let executable = std::fs::read_link(format!("/proc/{}/exe", running[0].as_raw_nonzero())).unwrap();
    let agent = executable.with_file_name("cairn-agent");
    let health = Command::new(agent).arg("--root").arg(&root).args(["health", "--json"]).output().unwrap();
    let health: serde_json::Value = serde_json::from_slice(&health.stdout).unwrap();
    assert_eq!(health["healthy"], true, "{health}");
    assert!(health.to_string().contains("simulated"), "{health}");

    // A second one is told so, and the first one is not disturbed.
    let second = xtask(&root).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another `cargo xtask dev` uses"), "{second:?}");

    assert_eq!(dev.stop(), Some(0));
    assert!(running.iter().all(|pid| test_kill_process(*pid).is_err()));

    // What was there is there again; and when one dies, so does the other.
    let mut dev = Dev::start(&root);
    assert_eq!(dev.value("password"), password);
    let running = processes(&root);
    kill_process(running[0], Signal::KILL).unwrap();
    assert_eq!(dev.child.wait().unwrap().code(), Some(7));
    assert!(running.iter().all(|pid| test_kill_process(*pid).is_err()));
}
