//! The machine, as an operator at its console sees it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use xtask_testbed::{Invocation, Listing, Machine, MachineOptions, Output};

use crate::support::{run_file, testbed};

/// Where the packed file lies on the machine.
pub const FILE: &str = "/root/cairn.run";

/// Both services, as systemd calls them.
pub const UNITS: [&str; 2] = ["cairn-server.service", "cairn-agent.service"];

/// What changes on a host that is left alone: state of systemd and its journal, and folders for passing things.
const RESTLESS: [&str; 6] =
    ["/run", "/tmp", "/var/tmp", "/var/log/journal", "/var/lib/systemd", "/var/log/wtmp"];

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine onto which one file was copied.
pub struct Host(pub Machine);

impl Host {
    /// Boots it.
    pub fn boot() -> Self {
        let machine = Machine::boot(testbed().host(), MachineOptions::default()).unwrap();
        machine.copy_in(run_file(), FILE, 0o644).unwrap();
        Self(machine)
    }

    /// Runs a command.
    pub fn run<const N: usize>(&self, words: [&str; N]) -> Output {
        self.0.run(words).unwrap()
    }

    /// Runs a command that has to succeed, and returns what it said.
    #[track_caller]
    pub fn says<const N: usize>(&self, words: [&str; N]) -> String {
        expect(&self.run(words), 0, "")
    }

    /// `sh FILE WORDS`, as `--no-packages` has it: most of these machines are bare, and the file carries nothing for them.
    pub fn cairn<const N: usize>(&self, words: [&str; N]) -> Output {
        self.0.run(Invocation::new("sh").arg(FILE).args(words).env("CAIRN_NO_PACKAGES", "1")).unwrap()
    }

    /// All that lies on the host and does not change by itself.
    pub fn listing(&self) -> Listing {
        Listing::of(&self.0.path(), &RESTLESS).unwrap()
    }

    /// What is on the host other than in `before`, but for what the server writes in its database while it runs.
    pub fn changes_since(&self, before: &Listing) -> Vec<String> {
        let database = |line: &&str| line.starts_with("~ /var/lib/cairn/server/cairn.db");
        before.diff(&self.listing()).lines().filter(|line| !database(line)).map(str::to_owned).collect()
    }

    /// The version that is installed.
    pub fn version(&self) -> String {
        let target = self.says(["readlink", "/opt/cairn/current"]);
        target.strip_prefix("versions/").unwrap().to_owned()
    }

    /// Whether a path is there.
    pub fn has(&self, path: &str) -> bool {
        self.run(["test", "-e", path]).success()
    }

    /// One property of a unit.
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.says(["systemctl", "show", "--value", "--property", property, unit])
    }

    /// What tells one run of the services from another.
    pub fn runs(&self) -> String {
        UNITS.iter().fold(String::new(), |mut text, unit| {
            for property in ["MainPID", "ActiveEnterTimestampMonotonic", "NRestarts", "UnitFileState"] {
                writeln!(text, "{unit} {property} {}", self.show(unit, property)).unwrap();
            }
            text
        })
    }

    /// Sees that both services run, start at boot, and say that they are well.
    #[track_caller]
    pub fn assert_healthy(&self) {
        for unit in UNITS {
            assert_eq!(self.run(["systemctl", "is-active", unit]).stdout_text(), "active");
            assert_eq!(self.run(["systemctl", "is-enabled", unit]).stdout_text(), "enabled");
        }
        for program in ["/opt/cairn/current/bin/cairn-server", "/opt/cairn/current/bin/cairn-agent"] {
            let health = self.run([program, "health", "--json"]);
            expect(&health, 0, "\"healthy\":true");
        }
    }

    /// Sees that nothing of the product runs, and that systemd knows nothing of it.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        assert_eq!(self.run(["pgrep", "--list-name", "cairn"]).stdout_text(), "");
        for list in ["list-units", "list-unit-files"] {
            // Its code says whether something was found.
            let known = self.run(["systemctl", list, "--all", "--plain", "--no-legend", "cairn*"]);
            assert_eq!(known.stdout_text(), "", "systemctl {list}");
        }
        assert!(!self.has("/run/cairn"));
        assert_eq!(self.run(["systemctl", "is-system-running"]).stdout_text(), "running");
    }

    /// What the services and systemd wrote about trouble since the machine was booted.
    pub fn trouble(&self) -> String {
        let words = ["journalctl", "--boot", "--priority=warning", "--output=cat", "--quiet"];
        let units = UNITS.map(|unit| format!("--unit={unit}"));
        self.0
            .run(Invocation::new(words[0]).args(&words[1..]).args(units))
            .unwrap()
            .checked()
            .unwrap()
            .stdout_text()
    }

    /// Asks again until it is so.
    #[track_caller]
    pub fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "what has to come does not come:\n{}", self.0.console());
        }
    }
}

/// What a command said, which ended with this code and said these words.
#[track_caller]
pub fn expect(output: &Output, code: i32, words: &str) -> String {
    let (out, err) = (output.stdout_text(), output.stderr_text());
    assert_eq!(output.code(), Some(code), "{out}\nstandard error:\n{err}");
    assert!(
        out.contains(words) || err.contains(words),
        "`{words}` is not said:\n{out}\nstandard error:\n{err}"
    );
    format!("{out}{err}")
}

/// The lines of a listing's difference, without the hashes.
pub fn paths(difference: &str) -> Vec<String> {
    difference.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}
