//! The machine, as an operator at its console sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use xtask_testbed::{Invocation, Output, Vm};

use crate::os_packages::{OF_PACKAGES, RESTLESS};

/// Where the disk with the packed files is mounted.
pub const STICK: &str = "/mnt";

/// The control tool of what is installed.
pub const TOOL: &str = "/opt/cairn/current/bin/cairnctl";

/// What two listings of the same host may differ in beside that: times of boots, and what a kernel is booted by.
const OF_THE_KERNEL: [&str; 2] = ["/boot", STICK];

/// How long a command may take that unpacks two hundred packages, in software.
const LONG: Duration = Duration::from_secs(3600);

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(900);

/// Lists what lies on the disk but for what is left out, which is `$@`: kind, mode, owner, target; and what files hold.
const LIST: &str = r#"
set -eu
find / -xdev "$@" -printf '%p: %y %m %U:%G %l\n'
find / -xdev "$@" -type f -print0 | xargs --null sha256sum
"#;

/// Waits for a line of a virtual machine's console, without asking again and again: that would take the processor from it.
const AWAIT: &str = r#"
set -eu
mkfifo /run/said
tail --lines=+1 --follow=name --retry /var/log/cairn/console/*.log >/run/said &
timeout "$1" grep --quiet --max-count=1 "$2" /run/said
# It may have ended by itself, with nobody to write to.
kill $! || :
rm /run/said
"#;

/// A machine that is on.
pub struct Host<'a>(Vm<'a>);

impl<'a> Host<'a> {
    pub fn of(vm: Vm<'a>) -> Self {
        Self(vm)
    }

    /// Runs a command.
    pub fn run(&self, words: &[&str]) -> Output {
        self.ask(Invocation::new(words[0]).args(words[1..].iter().copied()))
    }

    fn ask(&self, command: Invocation) -> Output {
        let start = Instant::now();
        let output = self.0.run(command.limit(LONG)).unwrap();
        // Where a run of many minutes spends its time.
        eprintln!("{:4} s, {:?}", start.elapsed().as_secs(), output.code());
        output
    }

    /// Runs a command that has to succeed, and returns what it said.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> String {
        eprintln!("{}", words.join(" "));
        self.run(words).checked().unwrap().stdout_text()
    }

    /// `sh FILE WORDS`, by a file of the stick.
    #[track_caller]
    pub fn packed(&self, file: &str, words: &[&str], code: i32, sentence: &str) -> String {
        let file = format!("{STICK}/{file}");
        expect(&self.run(&[&["sh", &file], words].concat()), code, sentence)
    }

    /// `cairnctl WORDS`, as it is installed.
    #[track_caller]
    pub fn tool(&self, words: &[&str], code: i32, sentence: &str) -> String {
        expect(&self.run(&[&[TOOL], words].concat()), code, sentence)
    }

    /// `cairn WORDS`, which has to succeed.
    #[track_caller]
    pub fn user(&self, words: &[&str]) -> String {
        eprintln!("cairn {}", words.join(" "));
        let cairn = Invocation::new("/opt/cairn/current/bin/cairn").args(words.iter().copied());
        self.ask(cairn).checked().unwrap().stdout_text()
    }

    /// What the server knows of the virtual machine.
    #[track_caller]
    pub fn vm(&self) -> serde_json::Value {
        serde_json::from_str(&self.user(&["--output", "json", "vm", "show", "first"])).unwrap()
    }

    /// Gets `cairn` in.
    #[track_caller]
    pub fn log_in(&self, password: &str) {
        let cairn = Invocation::new("/opt/cairn/current/bin/cairn");
        let words = ["login", "https://localhost:8443", "--user", "admin", "--password-stdin"];
        self.ask(cairn.args(words).stdin(format!("{password}\n"))).checked().unwrap();
    }

    /// The dashboard's page, by the client that every Debian has, which believes the host's own authority alone.
    #[track_caller]
    pub fn page(&self) -> String {
        // apt has another user look at it.
        self.says(&["cp", "/etc/cairn/tls/ca.pem", "/tmp/ca.pem"]);
        let authority = "Acquire::https::CAInfo=/tmp/ca.pem";
        let words = ["-o", authority, "download-file", "https://localhost:8443/", "/tmp/page"];
        self.says(&[&["/usr/lib/apt/apt-helper"], &words[..]].concat());
        self.says(&["cat", "/tmp/page"])
    }

    /// The version that is installed.
    pub fn version(&self) -> String {
        let target = self.says(&["readlink", "/opt/cairn/current"]);
        target.strip_prefix("versions/").unwrap().to_owned()
    }

    /// Waits until the one virtual machine there is says this on its console.
    #[track_caller]
    pub fn await_console(&self, words: &str) {
        let seconds = PATIENCE.as_secs().to_string();
        let waited = self.ask(Invocation::sh(AWAIT).args([&seconds, words]));
        assert!(waited.success(), "`{words}` is not said:\n{}", self.user(&["vm", "console", "first"]));
    }

    /// The process of the virtual machine.
    pub fn qemu(&self) -> String {
        self.says(&["cat", "/run/libvirt/qemu/first.pid"])
    }

    /// This version runs and is whole, and the virtual machine has never stopped.
    #[track_caller]
    pub fn assert_well(&self, version: &str, qemu: &str) {
        assert_eq!(self.version(), version);
        self.tool(&["verify"], 0, "is installed as it was packed");
        self.tool(&["status"], 0, "");
        assert_eq!(self.qemu(), qemu);
        assert_eq!(self.says(&["virsh", "domstate", "first"]), "running");
        self.wait_until(|host| host.vm()["state"] == "running");
    }

    /// What systemd knows.
    pub fn units(&self) -> String {
        self.says(&["systemctl", "list-unit-files", "--no-legend", "--plain"])
    }

    /// All that lies on the host outside the package database and does not change by itself.
    pub fn listing(&self) -> BTreeSet<String> {
        let out = [&OF_PACKAGES[..], &RESTLESS, &OF_THE_KERNEL].concat();
        let mut words = vec!["("];
        for path in out {
            words.extend(["-path", path, "-o"]);
        }
        words.extend(["-false", ")", "-prune", "-o"]);
        let list = self.ask(Invocation::sh(LIST).args(words)).checked().unwrap();
        list.stdout_text().lines().map(str::to_owned).collect()
    }

    /// Sees that the host is as it was.
    #[track_caller]
    pub fn assert_same(&self, before: &BTreeSet<String>) {
        // Debian calls one of those that were removed required on every host, and apt never takes such a one for superfluous.
        let is_required = |line: &str| line.contains("sensible-") || line.contains("/select-editor");
        let now = self.listing();
        let gone = before.difference(&now).map(|line| format!("- {line}"));
        let come = now.difference(before).map(|line| format!("+ {line}"));
        let changes: Vec<_> = gone.chain(come).filter(|line| !is_required(line)).collect();
        assert_eq!(changes, [""; 0]);
    }

    /// Asks again until it is so.
    #[track_caller]
    pub fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "what has to come does not come:\n{}", self.0.console());
        }
    }

    /// Turns it off.
    pub fn off(self) {
        self.0.poweroff().unwrap();
    }
}

#[track_caller]
fn expect(output: &Output, code: i32, sentence: &str) -> String {
    let said = format!("{}\n{}", output.stdout_text(), output.stderr_text());
    assert_eq!(output.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "{said}\ndoes not say: {sentence}");
    said
}
