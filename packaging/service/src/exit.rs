//! Exit codes of both programs. They are a subset of the product's own table, with the same meaning.

use std::process::ExitCode;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; for `health`: healthy.
    Ok = 0,
    /// The command line or a configuration file is wrong; nothing was done.
    Usage = 1,
    /// Another process works on the same files; nothing was done.
    Locked = 5,
    /// It failed and needs a hand; for `health`: not healthy.
    Failed = 7,
    /// It was refused, and trying again changes nothing.
    Refused = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
