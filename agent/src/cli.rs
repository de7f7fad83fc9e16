//! The command line. The control tool relies on it: see `packaging/control-contract.md`.

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use packaging_service::command::{Common, HealthArgs};

/// Does on this host what the Cairn server asks.
#[derive(Debug, Parser)]
#[command(name = "cairn-agent", disable_version_flag = true, arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve in the foreground until SIGTERM.
    Run,
    /// Create the folders that are missing.
    Bootstrap(BootstrapArgs),
    /// Ask the running agent how it is.
    Health(HealthArgs),
}

/// Options of `bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// Print one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}
