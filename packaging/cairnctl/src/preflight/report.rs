//! What preflight found, as data, as text and as an exit code. What is looked at lives in the other files.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde::Serialize;

use crate::exit::Code;
use crate::say;

/// The part of the host that a check is about: a heading of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Kernel, operating system, processor, memory, clock.
    System,
    /// File systems.
    Storage,
    /// Ports and devices.
    Network,
    /// What virtual machines need.
    Virtualization,
    /// What is installed.
    Installation,
    /// What of it runs.
    Services,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Virtualization => "virtualization",
            Self::Installation => "installation",
            Self::Services => "services",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Pass,
    /// It will work, or part of it, and the operator should know.
    Warn,
    /// An installation would fail, or would not run.
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }

    /// The parameter of the terminal's colour sequence: green, yellow, red, each bold.
    fn colour(self) -> &'static str {
        match self {
            Self::Pass => "1;32",
            Self::Warn => "1;33",
            Self::Fail => "1;31",
        }
    }
}

/// What one look at the host gave.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) state: State,
    pub(crate) evidence: String,
    pub(crate) remedy: Option<String>,
    lacks_room: bool,
}

impl Finding {
    /// All is well; `evidence` says what was seen.
    pub(crate) fn pass(evidence: impl Into<String>) -> Self {
        Self { state: State::Pass, evidence: evidence.into(), remedy: None, lacks_room: false }
    }

    /// It works, but.
    pub(crate) fn warn(evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warn, remedy: Some(remedy.into()), ..Self::pass(evidence) }
    }

    /// It cannot work.
    pub(crate) fn fail(evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Fail, remedy: Some(remedy.into()), ..Self::pass(evidence) }
    }

    /// It cannot work because bytes or inodes are lacking.
    pub(crate) fn no_room(evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { lacks_room: true, ..Self::fail(evidence, remedy) }
    }
}

/// One check and how it ended. A name occurs more than once where there are several file systems or ports.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub group: Group,
    /// Its name, in kebab case. Scripts may rely on it.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub evidence: String,
    /// What to do about it; nothing where it passed.
    pub remedy: Option<String>,
    #[serde(skip)]
    lacks_room: bool,
}

impl Check {
    pub(crate) fn new(group: Group, name: &'static str, finding: Finding) -> Self {
        let Finding { state, evidence, remedy, lacks_room } = finding;
        // Evidence quotes names of processes, mounts and files, which may hold anything, and goes to a terminal.
        Self {
            group,
            name,
            state,
            evidence: printable(&evidence),
            remedy: remedy.as_deref().map(printable),
            lacks_room,
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// All checks, in a fixed order.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The checks, those of one group together.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether a check failed.
    pub fn failed(&self) -> bool {
        self.count(State::Fail) > 0
    }

    /// The exit code that the failures ask for: nothing if none failed, [`Code::NoSpace`] if room is all that lacks,
    /// [`Code::Unsupported`] otherwise.
    pub fn code(&self) -> Option<Code> {
        let mut failures = self.checks.iter().filter(|check| check.state == State::Fail).peekable();
        failures.peek()?;
        Some(if failures.all(|check| check.lacks_room) { Code::NoSpace } else { Code::Unsupported })
    }

    /// The report as a table for people, with a last line that counts, and a line feed at its end.
    pub fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        let mut group = None;
        for check in &self.checks {
            if group.replace(check.group) != Some(check.group) {
                put(&mut text, format_args!("{}\n", check.group.title()));
            }
            self.put_row(&mut text, check, colour);
        }
        put(&mut text, format_args!("{}\n", self.summary()));
        text
    }

    /// The same without what passed, for those who did not ask for it.
    pub fn notable(&self, colour: bool) -> String {
        let mut text = format!("checked this host: {}\n", self.summary());
        for check in self.checks.iter().filter(|check| check.state != State::Pass) {
            self.put_row(&mut text, check, colour);
        }
        text
    }

    /// Says it in front of a change, on standard error to programs: all that did not pass, or with `quiet` only if one failed.
    pub fn show(&self, quiet: bool, json: bool) {
        if quiet && !self.failed() {
            return;
        }
        if json {
            say::complain(format_args!("{}", self.notable(false).trim_end()));
        } else {
            say::begin(format_args!("{}", self.notable(std::io::stdout().is_terminal())));
        }
    }

    fn put_row(&self, text: &mut String, check: &Check, colour: bool) {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let word = check.state.word();
        let word = if colour { format!("\x1b[{}m{word}\x1b[0m", check.state.colour()) } else { word.into() };
        put(text, format_args!("  {word}  {:width$}  {}\n", check.name, check.evidence));
        if let Some(remedy) = &check.remedy {
            put(text, format_args!("{:indent$}remedy: {remedy}\n", "", indent = width + 10));
        }
    }

    fn summary(&self) -> String {
        let (passed, warned, failed) =
            (self.count(State::Pass), self.count(State::Warn), self.count(State::Fail));
        format!("{passed} passed, {warned} to know about, {failed} failed")
    }

    fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}

/// Appends to a string, which cannot fail.
fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<(Group, &'static str, Finding)>) -> Report {
        Report { checks: findings.into_iter().map(|(g, n, f)| Check::new(g, n, f)).collect() }
    }

    #[test]
    fn the_text_is_a_table() {
        let report = report(vec![
            (Group::System, "root", Finding::pass("effective user id 0")),
            (Group::System, "memory", Finding::warn("900 MiB", "add memory")),
            (Group::Network, "port", Finding::fail("8443 is held by `nginx\x1b[31m` (pid 7)", "stop it")),
        ]);
        assert_eq!(
            report.text(false),
            "\
system
  PASS  root    effective user id 0
  WARN  memory  900 MiB
                remedy: add memory
network
  FAIL  port    8443 is held by `nginx\u{fffd}[31m` (pid 7)
                remedy: stop it
1 passed, 1 to know about, 1 failed
"
        );
        assert!(report.text(true).contains("  \x1b[1;31mFAIL\x1b[0m  port  "));
        let notable = report.notable(false);
        assert!(
            notable
                .starts_with("checked this host: 1 passed, 1 to know about, 1 failed\n  WARN  memory  900")
        );
        assert!(!notable.contains("PASS"), "{notable}");
    }

    #[test]
    fn the_code_says_what_lacks() {
        let pass = (Group::System, "root", Finding::pass("x"));
        let warn = (Group::System, "memory", Finding::warn("x", "y"));
        let space = (Group::Storage, "space", Finding::no_room("x", "y"));
        let clock = (Group::System, "clock", Finding::fail("x", "y"));
        assert_eq!(report(vec![pass.clone(), warn.clone()]).code(), None);
        assert!(!report(vec![warn.clone()]).failed());
        assert_eq!(report(vec![pass, space.clone()]).code(), Some(Code::NoSpace));
        assert_eq!(report(vec![space.clone(), warn]).code(), Some(Code::NoSpace));
        assert_eq!(report(vec![clock.clone(), space.clone()]).code(), Some(Code::Unsupported));
        assert!(report(vec![space, clock]).failed());
    }

    #[test]
    fn the_json_is_what_scripts_read() {
        let report = report(vec![(Group::Storage, "space", Finding::no_room("1 MiB free", "free some"))]);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"checks":[{"group":"storage","name":"space","state":"fail","evidence":"1 MiB free","remedy":"free some"}]}"#
        );
    }
}
