//! What the verbs that change a host say to programs: one JSON object on standard output.

use anyhow::Result;
use serde::Serialize;

use crate::exit::{Code, code_of};
use crate::packages::Plan;
use crate::say;

/// What came of a verb.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Answer {
    /// The verb.
    pub verb: &'static str,
    /// `done`, `nothing-to-do`, `planned`, `undone`, or `failed`.
    pub state: &'static str,
    /// The exit code.
    pub exit: u8,
    /// The version before, where there was one.
    pub from: Option<String>,
    /// The version afterwards, where there is one.
    pub to: Option<String>,
    /// What was done, or would be, in order.
    pub steps: Vec<String>,
    /// What is done, or would be, to the packages of the operating system, where anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Plan>,
    /// What stays.
    pub kept: Vec<String>,
    /// The password that was made, by a verb that was asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Where the dashboard answers now, if that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Answer {
    /// An answer of this verb, with nothing in it.
    pub fn of(verb: &'static str) -> Self {
        Self { verb, ..Self::default() }
    }

    /// Prints it, if that is wanted, with how it ended.
    ///
    /// # Errors
    /// What it ended with, or that it cannot be printed.
    pub fn give(mut self, json: bool, done: Result<&'static str>) -> Result<Code> {
        match &done {
            Ok(state) => self.state = state,
            Err(error) => {
                self.state = "failed";
                self.exit = code_of(error) as u8;
                self.error = Some(format!("{error:#}"));
            }
        }
        if json {
            say::answer((serde_json::to_string(&self)? + "\n").as_bytes())?;
        }
        done.map(|_| Code::Ok)
    }
}
