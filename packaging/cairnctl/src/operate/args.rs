//! The command line of the verbs for an installation that is there.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};

use crate::role::Role;

/// What an operator does from day to day.
#[derive(Debug, Subcommand)]
pub enum OperateVerb {
    /// Say what is installed here, whether it runs, and how it is.
    Status(AtArgs),
    /// Start the services, and wait until they are healthy.
    Start(ServiceArgs),
    /// Stop the services. Virtual machines go on running.
    Stop(ServiceArgs),
    /// Stop and start the services, and wait until they are healthy. Virtual machines go on running.
    Restart(ServiceArgs),
    /// Show what the services logged.
    Logs(LogsArgs),
}

/// Which installation, and how to answer.
#[derive(Clone, Debug, Args)]
pub struct AtArgs {
    /// The root that was given to `install`.
    #[arg(long, visible_alias = "prefix", value_name = "DIR", default_value = "/", env = "CAIRN_ROOT")]
    pub root: PathBuf,
    /// One JSON object instead of words.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `start`, `stop` and `restart`.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Which services; by default all that this host has.
    #[arg(value_enum, default_value_t = Role::All)]
    pub which: Role,
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Whose; by default all services that this host has.
    #[arg(value_enum, default_value_t = Role::All)]
    pub which: Role,
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// From then on, as journalctl reads it: `2026-01-31 08:00`, `yesterday`, `-2h`.
    #[arg(long, value_name = "TIME", env = "CAIRN_SINCE", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// At most so many, the last ones. By default 100, with --since all.
    #[arg(long, short = 'n', value_name = "N", env = "CAIRN_LINES")]
    pub lines: Option<u32>,
    /// Go on with what is logged from now on, until interrupted.
    #[arg(long, short, env = "CAIRN_FOLLOW", value_parser = BoolishValueParser::new())]
    pub follow: bool,
}
