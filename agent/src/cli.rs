//! The command line. The control tool relies on it: see `packaging/control-contract.md`.

use std::path::PathBuf;

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
    /// Join a server with a token that it made, from a file, standard input, or `CAIRN_JOIN_TOKEN`.
    Join(JoinArgs),
    /// Ask the running agent how it is.
    Health(HealthArgs),
    /// Say whether this agent takes the configuration here, changing nothing.
    Inspect(InspectArgs),
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Print one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// Print one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The file that holds the token; `-` is standard input.
    #[arg(long, env = "CAIRN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Leave the server that this host has joined before.
    #[arg(long, env = "CAIRN_REPLACE", value_parser = BoolishValueParser::new())]
    pub replace: bool,
}
