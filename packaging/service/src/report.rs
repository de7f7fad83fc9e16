//! The answer of `health`, as the control tool reads it. Its words are fixed in `packaging/control-contract.md`;
//! changing one needs a new [`CONTRACT`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of the contract between a service and the control tool.
pub const CONTRACT: u32 = 1;

/// What `health` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`CONTRACT`].
    pub contract: u32,
    /// True if no check failed.
    pub healthy: bool,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Short and stable, such as `port`.
    pub name: String,
    /// The verdict.
    pub state: State,
    /// What was seen, with the names, addresses and numbers.
    pub evidence: String,
    /// What to do; absent for a check that passed.
    pub remedy: Option<String>,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Pass,
    /// It works, and wants attention.
    Warn,
    /// It does not work.
    Fail,
}

impl Report {
    /// A report over `checks`: healthy unless one of them failed.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        let healthy = checks.iter().all(|check| check.state != State::Fail);
        Self { contract: CONTRACT, healthy, checks }
    }
}

impl Check {
    /// A check that passed.
    #[must_use]
    pub fn pass(name: &str, evidence: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Pass, evidence: evidence.into(), remedy: None }
    }

    /// A check that wants attention.
    #[must_use]
    pub fn warn(name: &str, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (evidence, remedy) = (evidence.into(), Some(remedy.into()));
        Self { name: name.to_owned(), state: State::Warn, evidence, remedy }
    }

    /// A check that failed.
    #[must_use]
    pub fn fail(name: &str, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(name, evidence, remedy) }
    }
}

/// As people read it: a line per check, its remedy under it, the verdict last.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let state = match check.state {
                State::Pass => "pass",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            writeln!(f, "{state}  {:<12} {}", check.name, check.evidence)?;
            if let Some(remedy) = &check.remedy {
                writeln!(f, "{:19}{remedy}", "")?;
            }
        }
        f.write_str(if self.healthy { "healthy" } else { "not healthy" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_makes_a_report_unhealthy() {
        let pass = Check::pass("port", "127.0.0.1:1 answers");
        let warn = Check::warn("joined", "waiting", "join it");
        assert!(Report::new(vec![pass.clone(), warn.clone()]).healthy);
        assert!(!Report::new(vec![pass, warn, Check::fail("page", "404", "look")]).healthy);
    }

    #[test]
    fn the_json_is_what_the_contract_says() {
        let report = Report::new(vec![Check::pass("port", "a"), Check::fail("page", "b", "c")]);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"contract":1,"healthy":false,"checks":["#,
                r#"{"name":"port","state":"pass","evidence":"a","remedy":null},"#,
                r#"{"name":"page","state":"fail","evidence":"b","remedy":"c"}]}"#
            )
        );
    }

    #[test]
    fn people_read_a_line_per_check_and_the_verdict_last() {
        let report = Report::new(vec![Check::pass("port", "a"), Check::fail("page", "b", "c")]);
        let text = report.to_string();
        assert_eq!(text, "pass  port         a\nFAIL  page         b\n                   c\nnot healthy");
    }
}
