//! The command line of the verbs for an installation that is there.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};

use crate::args::{ChangeArgs, RecoveryArgs};
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
    /// Show and change the configuration files of the services.
    Config(ConfigArgs),
    /// Look for all that may be wrong with this installation and its host, changing nothing.
    Doctor(AtArgs),
    /// Put what somebody needs who is to help into one file, without secrets.
    SupportBundle(BundleArgs),
    /// Keep the server's data and the configuration in one file, also while the server runs.
    Backup(BackupArgs),
    /// Put the server's data and the configuration back as a backup has them.
    Restore(RestoreArgs),
    /// Give the administrator another password, and print it. Logins of before end.
    ResetAdminPassword(ResetArgs),
    /// Make the server's certificate anew, for these names and addresses. Agents and browsers that trust its authority go on.
    ChangeAddress(AddressArgs),
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

/// What can be done with the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// The verbs of `config`. A key is that of a file behind the service's name: `server.listen`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Show every setting with the value that is used.
    Show(AtArgs),
    /// Print the value of one setting.
    Get(GetArgs),
    /// Set one setting. The service itself judges the new file before it goes into place.
    Set(SetArgs),
    /// Return one setting to its default.
    Unset(UnsetArgs),
    /// Have each service judge its file.
    Check(AtArgs),
}

/// Options of `config get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Which setting, for example `server.listen`.
    pub key: String,
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
}

/// Options of `config set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Which setting, for example `server.listen`.
    pub key: String,
    /// Its value, as in the file; text needs no quotes.
    #[arg(allow_hyphen_values = true)]
    pub value: String,
    /// How the file is changed.
    #[command(flatten)]
    pub change: ConfigChangeArgs,
}

/// Options of `config unset`.
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// Which setting, for example `server.listen`.
    pub key: String,
    /// How the file is changed.
    #[command(flatten)]
    pub change: ConfigChangeArgs,
}

/// How a configuration file is changed.
#[derive(Debug, Args)]
pub struct ConfigChangeArgs {
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Restart the service, which reads its file when it starts. If it does not become healthy, the old file comes back.
    #[arg(long, env = "CAIRN_RESTART", value_parser = BoolishValueParser::new())]
    pub restart: bool,
    /// What becomes of a run that was interrupted.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
}

/// Options of `reset-admin-password`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Take the password from the first line of standard input instead of making one.
    #[arg(long, env = "CAIRN_PASSWORD_STDIN", value_parser = BoolishValueParser::new())]
    pub password_stdin: bool,
}

/// Options of `change-address`.
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// What people type to reach this host, besides its own host name. The first is the dashboard's.
    #[arg(required = true, value_name = "NAME_OR_IP")]
    pub addresses: Vec<String>,
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// What becomes of a run that was interrupted.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
}

/// Options of `backup`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BackupArgs {
    /// Something else than making one.
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// The folder that it is put into, by default the installation's own.
    #[arg(long, value_name = "DIR", env = "CAIRN_TO")]
    pub to: Option<PathBuf>,
    /// Remove the oldest in that folder, until so many are left.
    #[arg(long, value_name = "N", env = "CAIRN_KEEP", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// What else `backup` does.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Name those that there are.
    List(AtArgs),
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A backup: a file, its name in the installation's own folder, or `latest`. Not needed with --resume and --undo.
    #[arg(required_unless_present_any = ["resume", "undo"])]
    pub file: Option<PathBuf>,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Options of `support-bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Which installation.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print what would be in it and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// The file to write, by default a new one in this folder.
    #[arg(long, value_name = "FILE", env = "CAIRN_TO")]
    pub to: Option<PathBuf>,
}
