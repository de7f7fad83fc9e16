//! The part of the command line that both programs share, and how a command line that is wrong ends.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser};
use serde::Serialize;

use crate::exit::Exit;
use crate::report::Report;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Folder that all files lie under.
    #[arg(long, env = "CAIRN_ROOT", value_name = "DIR", default_value = "/", global = true)]
    pub root: PathBuf,

    /// What to log: a level, or directives such as `info,hyper=debug`.
    #[arg(long, env = "CAIRN_LOG", value_name = "FILTER", default_value = "info", global = true)]
    pub log: String,

    /// Print ref, commit and product version, and exit.
    #[arg(long, short = 'V')]
    pub version: bool,
}

/// Options of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Print one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,

    /// Longest time for each check, in milliseconds.
    #[arg(long, env = "CAIRN_TIMEOUT_MS", value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
}

/// Reads the command line. Help goes to standard output; anything wrong goes to standard error.
///
/// # Errors
/// With the code to exit with, once help or the complaint is printed.
pub fn parse<C: Parser>() -> Result<C, Exit> {
    C::try_parse().map_err(|error| {
        // A closed standard output is not worth a second complaint.
        let _ = error.print();
        if error.use_stderr() { Exit::Usage } else { Exit::Ok }
    })
}

/// Prints the one sentence that says why `program` ends without having done what was asked.
pub fn complain(program: &str, error: &dyn Display) {
    eprintln!("{program}: {error}");
}

/// Prints an answer on standard output.
///
/// # Errors
/// If nobody takes it.
pub fn answer(text: &dyn Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints an answer as one JSON object on one line.
///
/// # Errors
/// If nobody takes it.
pub fn answer_json(answer: &impl Serialize) -> std::io::Result<()> {
    self::answer(&serde_json::to_string(answer)?)
}

/// Prints what `health` found, and says how the program ends with it.
///
/// # Errors
/// If nobody takes it.
pub fn answer_health(report: &Report, args: &HealthArgs) -> std::io::Result<Exit> {
    if args.json {
        answer_json(report)?;
    } else {
        answer(report)?;
    }
    Ok(if report.healthy { Exit::Ok } else { Exit::Failed })
}
