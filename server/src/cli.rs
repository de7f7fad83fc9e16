//! The command line. The control tool relies on it: see `packaging/control-contract.md`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use packaging_service::command::{self, Common};

use crate::bootstrap::names::Address;

/// Serves the dashboard and the API of a Cairn cloud.
#[derive(Debug, Parser)]
#[command(name = "cairn-server", disable_version_flag = true, arg_required_else_help = true)]
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
    /// Create the certificates and the administrator that are missing.
    Bootstrap(BootstrapArgs),
    /// Ask the running server how it is.
    Health(LookArgs),
    /// Say whether this server can work with the configuration and the database here, changing nothing.
    Inspect(DataArgs),
    /// Bring the database to what this server works with. `run` does so too.
    Migrate(DataArgs),
    /// Write a consistent copy of the database, also while a server works with it.
    Backup(BackupArgs),
}

/// Options of `health`.
#[derive(Debug, Args)]
pub struct LookArgs {
    /// What every program takes.
    #[command(flatten)]
    pub common: command::HealthArgs,

    /// Look also whether this leads to the server, and whether its certificate is for it; repeatable.
    #[arg(long = "address", env = "CAIRN_CHECK_ADDRESS", value_name = "NAME_OR_IP", value_delimiter = ',')]
    pub addresses: Vec<Address>,
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Print one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,

    /// The file to write. It must not be there.
    #[arg(long, env = "CAIRN_TO", value_name = "FILE")]
    pub to: PathBuf,
}

/// Options of `inspect` and `migrate`.
#[derive(Debug, Args)]
pub struct DataArgs {
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

    /// What this host is to run.
    #[arg(long, env = "CAIRN_ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,

    /// Name or address that people reach this host by, besides its own host name; may be given several times.
    #[arg(long = "address", env = "CAIRN_ADDRESS", value_name = "NAME_OR_IP", value_delimiter = ',')]
    pub addresses: Vec<Address>,

    /// Read the administrator's password from standard input: one line, at least 10 characters.
    #[arg(long, env = "CAIRN_ADMIN_PASSWORD_STDIN", value_parser = BoolishValueParser::new())]
    pub admin_password_stdin: bool,
}

/// What a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Server and agent.
    All,
    /// The server alone.
    Server,
}
