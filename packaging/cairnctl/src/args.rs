//! The command line: verbs, and the options of each.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::operate::OperateVerb;
use crate::role::Role;

/// Installs, checks and removes this product on this host.
#[derive(Debug, Parser)]
#[command(name = "cairnctl", disable_version_flag = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Print only what is asked for and what is wrong.
    #[arg(long, global = true, env = "CAIRN_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What a .run file takes beyond the verbs.
const RUN_FILE_HELP: &str = "\
Without a verb it installs, after a look at the host, a plan and a question. It also takes:
  --check            verify the file         --info     inspect it
  --list             list its entries        --version  print the version
  --noexec           extract, install nothing
  --target DIR       extract into DIR, and keep it
  --keep             extract into ./PRODUCT-VERSION, and keep it
  --confirm          ask before installing, even with --yes
  --quiet            say less
  --                 what follows belongs to `install`
A delta takes `apply --out NEW.run`, which writes the whole file, and --base OLD.run wherever the file that it starts
from is not the one that was installed here.

";

/// What the control tool on a host says in its place.
const TOOL_HELP: &str = "\
About a .run file, too: cairnctl --archive FILE VERB

";

const COMMON_HELP: &str = "\
Every option is also an environment variable: --no-start is CAIRN_NO_START=1.

Exit codes: 0 done, 1 usage, 2 damaged or badly signed, 3 host not supported, 4 no space,
5 locked by another run, 6 failed and rolled back, 7 failed and needs a hand, 8 refused by policy, 9 interrupted.";

impl Cli {
    /// Reads a command line. `run_file` is the name of the .run file that was started, if it was one.
    ///
    /// # Errors
    /// What is wrong with it, or the help that was asked for.
    pub fn read(run_file: Option<&str>, words: Vec<String>) -> Result<Self, clap::Error> {
        let own = if run_file.is_some() { RUN_FILE_HELP } else { TOOL_HELP };
        let mut command = Self::command().after_help(format!("{own}{COMMON_HELP}"));
        if let Some(file) = run_file {
            let usage = format!("sh {file} [OPTIONS OF install]\n       sh {file} <VERB> [OPTIONS]");
            command = command.bin_name(format!("sh {file}")).override_usage(usage);
        }
        Self::from_arg_matches(
            &command.try_get_matches_from(std::iter::once("cairnctl".to_owned()).chain(words))?,
        )
    }
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look at this host and report everything that stands in the way, changing nothing.
    Preflight(PreflightArgs),
    /// Install, or mend an installation of the same version.
    Install(InstallArgs),
    /// Install the packages of this host's operating system that a .run file carries, and nothing of Cairn itself.
    Packages(PackagesArgs),
    /// Put this version in place of the one that is installed here, and return to that one by itself if it does not work.
    Upgrade(UpgradeArgs),
    /// Return to the version that was there before.
    Rollback(RollbackArgs),
    /// Remove what was installed; data and changed files stay unless --purge.
    Uninstall(UninstallArgs),
    /// Check a .run file, or without FILE the installation.
    Verify(VerifyArgs),
    /// Unpack a .run file without installing it.
    Extract(ExtractArgs),
    /// List the entries of a .run file, out of its table of contents alone.
    List,
    /// Show what a .run file was built from.
    Inspect(InspectArgs),
    /// Put a new .run file together from a delta and the file that it starts from.
    Delta(DeltaArgs),
    /// What an operator does with an installation from day to day.
    #[command(flatten)]
    Operate(OperateVerb),
    /// Print the version.
    Version,
}

impl Verb {
    /// Whether it shows a part of a file, and needs to know of no more than that part that it is as it was packed.
    pub fn is_about_a_part(&self) -> bool {
        match self {
            Self::List => true,
            Self::Extract(args) => args.entry.is_some() || !args.only.is_empty(),
            Self::Preflight(_)
            | Self::Install(_)
            | Self::Packages(_)
            | Self::Upgrade(_)
            | Self::Rollback(_)
            | Self::Uninstall(_)
            | Self::Verify(_)
            | Self::Inspect(_)
            | Self::Delta(_)
            | Self::Operate(_)
            | Self::Version => false,
        }
    }
}

/// Which host, and what of it.
#[derive(Clone, Debug, Args)]
pub struct HostArgs {
    /// Install below this folder instead of `/`.
    #[arg(long, visible_alias = "prefix", value_name = "DIR", default_value = "/", env = "CAIRN_ROOT")]
    pub root: PathBuf,
    /// What this host is.
    #[arg(long, value_enum, default_value_t = Role::All, env = "CAIRN_ROLE")]
    pub role: Role,
    /// Neither enable nor start any service.
    #[arg(long, env = "CAIRN_NO_START", value_parser = BoolishValueParser::new())]
    pub no_start: bool,
    /// What becomes of carried packages.
    #[command(flatten)]
    pub carried: CarriedArgs,
}

/// What becomes of the packages of the operating system that a .run file carries.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct CarriedArgs {
    /// Install none of the operating system's packages that the file carries, and do without QEMU and libvirt until they
    /// come from elsewhere.
    #[arg(long, env = "CAIRN_NO_PACKAGES", value_parser = BoolishValueParser::new())]
    pub no_packages: bool,
}

/// How long others are waited for.
#[derive(Clone, Copy, Debug, Args)]
pub struct WaitArgs {
    /// Wait so long for others who work on the packages of this host.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, env = "CAIRN_WAIT")]
    pub wait: u32,
}

impl WaitArgs {
    /// The same as a duration.
    pub fn patience(self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}

/// Whose signature a .run file has to carry.
#[derive(Clone, Debug, Args)]
pub struct TrustArgs {
    /// Trust this public key: the file has to be signed by it or by another that this host trusts. `install` keeps it,
    /// so that every later one demands a signature too. Repeatable.
    #[arg(long, value_name = "KEY.pub", env = "CAIRN_TRUST")]
    pub trust: Vec<PathBuf>,
    /// Demand that this key has signed the file, in this run alone.
    #[arg(long, value_name = "KEY.pub", env = "CAIRN_REQUIRE_SIGNATURE")]
    pub require_signature: Option<PathBuf>,
}

impl TrustArgs {
    /// Whether any key was named.
    pub fn is_given(&self) -> bool {
        !self.trust.is_empty() || self.require_signature.is_some()
    }
}

/// What becomes of a run that was interrupted. By default the same verb goes on with it, and any other puts everything back
/// first.
#[derive(Clone, Debug, Default, Args)]
pub struct RecoveryArgs {
    /// Go on with the run that was interrupted here, and do no more.
    #[arg(long, env = "CAIRN_RESUME", conflicts_with = "undo", value_parser = BoolishValueParser::new())]
    pub resume: bool,
    /// Put everything back as it was before the run that was interrupted here, and do no more.
    #[arg(long, env = "CAIRN_UNDO", value_parser = BoolishValueParser::new())]
    pub undo: bool,
}

/// What a delta starts from.
#[derive(Clone, Debug, Args)]
pub struct BaseArgs {
    /// For a delta: the .run file that it starts from, by default the one that the installation here has kept.
    #[arg(long, value_name = "OLD.run", env = "CAIRN_BASE")]
    pub base: Option<PathBuf>,
}

/// Options of `preflight`.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    /// Which host.
    #[command(flatten)]
    pub host: HostArgs,
    /// What a delta starts from.
    #[command(flatten)]
    pub base: BaseArgs,
    /// One JSON object instead of a table.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Which host.
    #[command(flatten)]
    pub host: HostArgs,
    /// Do not ask.
    #[arg(long, short, env = "CAIRN_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// Ask, even with --yes.
    #[arg(long, env = "CAIRN_CONFIRM", value_parser = BoolishValueParser::new())]
    pub confirm: bool,
    /// Print the plan and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// One JSON object instead of words.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Who has to have signed it.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// What a delta starts from.
    #[command(flatten)]
    pub base: BaseArgs,
    /// What becomes of a run that was interrupted.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
    /// How long others are waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// Take the administrator's password from the first line of this file instead of making one.
    #[arg(long, value_name = "FILE", env = "CAIRN_ADMIN_PASSWORD_FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// Install from this folder, into which a .run file was extracted.
    #[arg(long, value_name = "DIR", hide = true)]
    pub from: Option<PathBuf>,
    /// Extract into this folder first, and keep it; an empty name means `PRODUCT-VERSION`.
    #[arg(long, value_name = "DIR", hide = true, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub keep_in: Option<PathBuf>,
}

/// Options of `packages`.
#[derive(Debug, Args)]
pub struct PackagesArgs {
    /// What this host is.
    #[arg(long, value_enum, default_value_t = Role::All, env = "CAIRN_ROLE")]
    pub role: Role,
    /// Do not ask.
    #[arg(long, short, env = "CAIRN_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// Print what would be done and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// The plan as one JSON object.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// How long others are waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// Install from this folder, into which a .run file was extracted.
    #[arg(long, value_name = "DIR", env = "CAIRN_FROM")]
    pub from: Option<PathBuf>,
}

/// What the verbs take that change an installation.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The root that was given to `install`.
    #[arg(long, visible_alias = "prefix", value_name = "DIR", default_value = "/", env = "CAIRN_ROOT")]
    pub root: PathBuf,
    /// Do not ask.
    #[arg(long, short, env = "CAIRN_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// Print the plan and stop.
    #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// One JSON object instead of words.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// What becomes of a run that was interrupted.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
}

/// Options of `upgrade`. What the host is, and where things lie, is as it was installed.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Who has to have signed it.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// What a delta starts from.
    #[command(flatten)]
    pub base: BaseArgs,
    /// What becomes of carried packages.
    #[command(flatten)]
    pub carried: CarriedArgs,
    /// How long others are waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Put the server's data back as it was before the upgrade too. What was done since is lost to the server, and kept in
    /// a backup.
    #[arg(long, env = "CAIRN_RESTORE_BACKUP", value_parser = BoolishValueParser::new())]
    pub restore_backup: bool,
}

/// Options of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Turn off virtual machines that run, as by cutting their power. Without it a removal is refused while there are any.
    #[arg(long, env = "CAIRN_STOP_VMS", value_parser = BoolishValueParser::new())]
    pub stop_vms: bool,
    /// Remove data, certificates and changed files too.
    #[arg(long, env = "CAIRN_PURGE", value_parser = BoolishValueParser::new())]
    pub purge: bool,
    /// Remove those packages of the operating system that were installed out of a .run file and that nothing else needs, with
    /// --purge also their configuration. Refused while libvirt has virtual machines that are not this product's.
    #[arg(long, env = "CAIRN_REMOVE_PACKAGES", value_parser = BoolishValueParser::new())]
    pub remove_packages: bool,
    /// How long others are waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A .run file.
    pub file: Option<PathBuf>,
    /// Who has to have signed it.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// The root that was given to `install`.
    #[arg(long, visible_alias = "prefix", value_name = "DIR", default_value = "/", env = "CAIRN_ROOT")]
    pub root: PathBuf,
}

/// Options of `extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// An empty or absent folder; by default `PRODUCT-VERSION` in this one.
    pub dir: Option<PathBuf>,
    /// Unpack only this entry, or what lies below a folder of this name. Reads nothing else of the file and checks no more
    /// than that: for the whole file there is `verify`. Repeatable.
    #[arg(long, value_name = "PATH")]
    pub only: Vec<String>,
    /// Write this one entry to standard output instead, read and checked as with --only.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["only", "dir"])]
    pub entry: Option<String>,
}

/// What can be done with a delta.
#[derive(Debug, Args)]
pub struct DeltaArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: DeltaVerb,
}

/// The verbs of `delta`.
#[derive(Debug, Subcommand)]
pub enum DeltaVerb {
    /// Write the file that a delta makes of an older one.
    Apply(ApplyArgs),
}

/// Options of `delta apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The delta, if it is not the file that was started.
    pub delta: Option<PathBuf>,
    /// What it starts from.
    #[command(flatten)]
    pub base: BaseArgs,
    /// The file to write. It appears when all of it is right, and replaces what has this name.
    #[arg(long, value_name = "NEW.run", env = "CAIRN_OUT")]
    pub out: PathBuf,
    /// The root that was given to `install`, which has kept its file.
    #[arg(long, visible_alias = "prefix", value_name = "DIR", default_value = "/", env = "CAIRN_ROOT")]
    pub root: PathBuf,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The manifest as it lies in the file.
    #[arg(long, env = "CAIRN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_what_was_started() {
        let help = |file, words: &[&str]| {
            Cli::read(file, words.iter().map(|word| (*word).to_owned()).collect()).unwrap_err().to_string()
        };
        let run = help(Some("x.run"), &["--help"]);
        assert!(
            run.contains("sh x.run <VERB>") && run.contains("--noexec") && !run.contains("cairnctl"),
            "{run}"
        );
        assert!(help(Some("x.run"), &["install", "--help"]).contains("Usage: sh x.run install"));
        let tool = help(None, &["--help"]);
        assert!(tool.contains("Usage: cairnctl") && !tool.contains("--noexec"), "{tool}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
