//! The command line. Whatever stands for a resource is its id or its name. Every option is a variable, too.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use server_api::cache::CacheLevel;
use server_api::vm::{AccelChoice, BootDevice, CacheChoice, DiskBus, Firmware, Guest, Machine, NicModel};

use crate::cache::FirstMode;
use crate::size;

/// Works with a Cairn cloud.
///
/// Exit codes: 0 done, 1 usage or not there, 2 wrong checksum, 3 not supported by the host, 4 no space, 5 a task
/// works on it, 6 failed and put back, 7 failed and needs a hand, 8 refused, 9 cancelled or interrupted.
#[derive(Debug, Parser)]
#[command(name = "cairn", disable_version_flag = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The server, such as https://cloud.example:8443; by default the one that was logged in to.
    #[arg(long, env = "CAIRN_SERVER", value_name = "URL", global = true)]
    pub server: Option<String>,
    /// File with the authority that the server's certificate must come from, PEM.
    #[arg(long, env = "CAIRN_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// A session's or an API token; by default that of the login. Better given as a variable: others see a command
    /// line.
    #[arg(long, env = "CAIRN_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// How answers are written.
    #[arg(long, env = "CAIRN_OUTPUT", value_enum, default_value_t = Output::Table, global = true)]
    pub output: Output,
    /// Wait for the end of the task that was begun, with its progress on standard error.
    #[arg(long, env = "CAIRN_WAIT", value_parser = BoolishValueParser::new(), global = true)]
    pub wait: bool,
    /// Print ref, commit and product version, and exit.
    #[arg(long, short = 'V')]
    pub version: bool,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// As the server says it.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to a server and remember it.
    Login(LoginArgs),
    /// End the session and forget the server.
    Logout,
    /// Hosts.
    #[command(subcommand)]
    Host(HostCommand),
    /// Storages: folders of hosts.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Images.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Volumes.
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// Virtual machines.
    #[command(subcommand)]
    Vm(VmCommand),
    /// Settings that take effect while the server runs.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who did what, when, from where, and what came of it; the newest first.
    Audit {
        /// How many entries, 1 to 1000.
        #[arg(long, env = "CAIRN_LIMIT", value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
        /// Those before the one with this id.
        #[arg(long, env = "CAIRN_BEFORE", value_name = "ID")]
        before: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The server, such as https://cloud.example:8443.
    #[arg(env = "CAIRN_LOGIN_SERVER", value_name = "URL")]
    pub address: String,
    /// Who.
    #[arg(long, env = "CAIRN_USER", default_value = "admin")]
    pub user: String,
    /// SHA-256 of the server's authority, in place of --ca.
    #[arg(long, env = "CAIRN_CA_SHA256", value_name = "HEX", conflicts_with = "ca")]
    pub ca_sha256: Option<String>,
    /// Read the password from standard input, one line, without asking.
    #[arg(long, env = "CAIRN_PASSWORD_STDIN", value_parser = BoolishValueParser::new())]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// All hosts.
    List,
    /// One host.
    Show { host: String },
    /// Print the one command that installs Cairn on another host and lets it join. It holds a token that is good once.
    Add {
        /// Seconds until it ends by itself.
        #[arg(long, env = "CAIRN_EXPIRES", value_name = "SECONDS")]
        expires: Option<u64>,
        /// Name or address and port by which the host reaches the server; by default that of the login, or the one address that
        /// the server's host has.
        #[arg(long, env = "CAIRN_JOIN_SERVER", value_name = "HOST:PORT")]
        reach: Option<String>,
        /// The host that joins again, and keeps its identity and all that lies on it; a new one if left out.
        #[arg(long, env = "CAIRN_JOIN_FOR", value_name = "HOST")]
        r#for: Option<String>,
    },
    /// Make a token with which one host can join: `cairn-agent join` there takes it.
    Token {
        /// Seconds until it ends by itself.
        #[arg(long, env = "CAIRN_EXPIRES", value_name = "SECONDS")]
        expires: Option<u64>,
        /// Name or address and port by which the host reaches the server; by default that of the login.
        #[arg(long, env = "CAIRN_JOIN_SERVER", value_name = "HOST:PORT")]
        reach: Option<String>,
        /// The host that joins again, and keeps its identity and all that lies on it; a new one if left out.
        #[arg(long, env = "CAIRN_JOIN_FOR", value_name = "HOST")]
        r#for: Option<String>,
    },
    /// Remove a host on which nothing lies. Its certificate is good for nothing from then on.
    #[command(visible_alias = "remove")]
    Delete {
        host: String,
        /// The name of the host, once more: forget all that lies on it, too. Only for a host that is gone.
        #[arg(long, env = "CAIRN_FORGET", value_name = "HOST")]
        forget: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// All storages.
    List,
    /// One storage.
    Show { storage: String },
    /// Add a folder of a host.
    Create {
        name: String,
        /// The folder, an absolute path of that host.
        #[arg(long, env = "CAIRN_PATH_ON_HOST", value_name = "DIR")]
        path: String,
        /// The host; may be left out where there is only one.
        #[arg(long, env = "CAIRN_HOST")]
        host: Option<String>,
    },
    /// Measure what a storage is worth for disks, and say what to do about it.
    Check { storage: String },
    /// The cache mode of its volumes.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Remove a storage in which nothing lies; its folder stays.
    Delete { storage: String },
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// All images.
    List,
    /// One image.
    Show { image: String },
    /// Copy a file of a host into a storage there.
    Import {
        name: String,
        /// The file, an absolute path of that host.
        #[arg(long, env = "CAIRN_SOURCE", value_name = "FILE")]
        source: String,
        /// The storage; may be left out where there is only one.
        #[arg(long, env = "CAIRN_STORAGE")]
        storage: Option<String>,
        /// The SHA-256 that the file must have.
        #[arg(long, env = "CAIRN_SHA256", value_name = "HEX")]
        sha256: Option<String>,
    },
    /// Remove an image that nothing needs.
    Delete { image: String },
}

#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// All volumes.
    List,
    /// One volume.
    Show { volume: String },
    /// Make a volume, blank or on an image.
    Create {
        name: String,
        /// What a guest will see, such as 20G.
        #[arg(long, env = "CAIRN_SIZE", value_parser = size::parse)]
        size: Option<u64>,
        /// The image that it is to lie on.
        #[arg(long, env = "CAIRN_IMAGE")]
        image: Option<String>,
        /// The storage.
        #[arg(long, env = "CAIRN_STORAGE")]
        storage: Option<String>,
        #[command(flatten)]
        first: FirstMode,
    },
    /// Make a volume bigger.
    Resize {
        volume: String,
        /// What a guest will see, such as 40G.
        #[arg(long, env = "CAIRN_SIZE", value_parser = size::parse)]
        size: u64,
    },
    /// In which cache mode it is opened, where that is set, and by what that is known.
    Explain {
        volume: String,
        /// What would come of this mode instead; nothing is changed.
        #[arg(long = "if", env = "CAIRN_IF", value_name = "MODE")]
        wanted: Option<CacheChoice>,
        /// Where that would be set: volume, vm, storage or global.
        #[arg(long, env = "CAIRN_AT", value_name = "LEVEL", default_value = "volume")]
        at: CacheLevel,
    },
    /// Its cache mode.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Remove a volume that is a disk of nobody.
    Delete { volume: String },
}

#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// All virtual machines.
    List,
    /// One virtual machine.
    Show { vm: String },
    /// Make a virtual machine with its disks.
    Create(Box<CreateArgs>),
    /// Turn it on.
    Start { vm: String },
    /// Ask its guest to turn it off.
    Shutdown { vm: String },
    /// Cut its power.
    ForceOff { vm: String },
    /// Ask its guest to turn it off, and turn it on again.
    Reboot { vm: String },
    /// Change its disks to the cache modes that are set for them, while it runs.
    ApplyCache { vm: String },
    /// Start it over without asking its guest.
    Reset { vm: String },
    /// Stop its processors.
    Pause { vm: String },
    /// Let its processors go on.
    Resume { vm: String },
    /// Remove it; its power is cut.
    Delete {
        vm: String,
        /// Remove its volumes, too.
        #[arg(long, env = "CAIRN_VOLUMES", value_parser = BoolishValueParser::new())]
        volumes: bool,
    },
    /// Add a volume that is a disk of nobody.
    Attach {
        vm: String,
        volume: String,
        /// How the guest sees it.
        #[arg(long, env = "CAIRN_BUS")]
        bus: Option<DiskBus>,
    },
    /// Take a volume that is not its root disk.
    Detach { vm: String, volume: String },
    /// Lay an image into its CD-ROM drive.
    Insert {
        vm: String,
        image: String,
        /// The drive's number.
        #[arg(long, env = "CAIRN_DRIVE", default_value_t = 0)]
        drive: u8,
    },
    /// Empty its CD-ROM drive.
    Eject {
        vm: String,
        /// The drive's number.
        #[arg(long, env = "CAIRN_DRIVE", default_value_t = 0)]
        drive: u8,
    },
    /// Print what its guest wrote to its first serial line.
    Console { vm: String },
    /// Whether it may migrate as its disks are open, and why not.
    Migration { vm: String },
    /// The cache mode of its disks.
    #[command(subcommand)]
    Cache(CacheCommand),
}

/// What is set for a storage, a virtual machine or a volume. The most specific one counts, and `vm.cacheMode` where nothing is.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// What is set for it.
    Show { name: String },
    /// Set a mode for it.
    Set {
        name: String,
        /// auto, none, writeback, writethrough, directsync or unsafe.
        mode: CacheChoice,
        /// Accept that with `unsafe` a crash of the host loses what is on the disks.
        #[arg(long, env = "CAIRN_ACCEPT_LOSS", value_parser = BoolishValueParser::new())]
        accept_loss: bool,
        /// Say what would come of it, and change nothing.
        #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
        dry_run: bool,
    },
    /// Clear it: what is set less specifically counts.
    Clear {
        name: String,
        /// Say what would come of it, and change nothing.
        #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
        dry_run: bool,
    },
    /// What was changed about it.
    History { name: String },
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    pub name: String,
    /// Its memory, such as 2G.
    #[arg(long, env = "CAIRN_MEMORY", value_parser = size::parse, default_value = "1G")]
    pub memory: u64,
    /// Its processors.
    #[arg(long, env = "CAIRN_VCPUS", default_value_t = 1)]
    pub vcpus: u32,
    /// The image of its root disk; without one it is blank.
    #[arg(long, env = "CAIRN_IMAGE")]
    pub image: Option<String>,
    /// Size of its root disk, such as 20G; by default that of the image.
    #[arg(long, env = "CAIRN_SIZE", value_parser = size::parse)]
    pub size: Option<u64>,
    /// The storage of its disks.
    #[arg(long, env = "CAIRN_STORAGE")]
    pub storage: Option<String>,
    /// How the guest sees its disks.
    #[arg(long, env = "CAIRN_BUS")]
    pub bus: Option<DiskBus>,
    /// Size of a further, blank disk; may be given several times.
    #[arg(long, env = "CAIRN_DATA", value_name = "SIZE", value_parser = size::parse, value_delimiter = ',')]
    pub data: Vec<u64>,
    /// Bridge of a network card; may be given several times.
    #[arg(long, env = "CAIRN_BRIDGE", value_delimiter = ',')]
    pub bridge: Vec<String>,
    /// How the guest sees its network cards.
    #[arg(long, env = "CAIRN_NIC_MODEL")]
    pub nic_model: Option<NicModel>,
    /// The image in its CD-ROM drive.
    #[arg(long, env = "CAIRN_CDROM", value_name = "IMAGE")]
    pub cdrom: Option<String>,
    /// Its main board: q35 or i440fx.
    #[arg(long, env = "CAIRN_MACHINE")]
    pub machine: Option<Machine>,
    /// What it boots with: bios or uefi.
    #[arg(long, env = "CAIRN_FIRMWARE")]
    pub firmware: Option<Firmware>,
    /// What runs its instructions: auto, kvm or tcg.
    #[arg(long, env = "CAIRN_ACCEL")]
    pub accel: Option<AccelChoice>,
    /// What it is tuned for: linux or windows.
    #[arg(long, env = "CAIRN_GUEST")]
    pub guest: Option<Guest>,
    #[command(flatten)]
    pub first: FirstMode,
    /// Where it looks for something to boot, first to last: hd, cdrom, network.
    #[arg(long, env = "CAIRN_BOOT", value_delimiter = ',')]
    pub boot: Vec<BootDevice>,
    /// Turn it on at once.
    #[arg(long, env = "CAIRN_START", value_parser = BoolishValueParser::new())]
    pub start: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// All settings.
    List,
    /// One setting.
    Show { key: String },
    /// Set one.
    Set {
        key: String,
        value: String,
        /// Accept what the value costs: with `unsafe` a crash of the host loses what is on disks.
        #[arg(long, env = "CAIRN_ACCEPT_LOSS", value_parser = BoolishValueParser::new())]
        accept_loss: bool,
        /// Say what would come of it, and change nothing; for `vm.cacheMode`.
        #[arg(long, env = "CAIRN_DRY_RUN", value_parser = BoolishValueParser::new())]
        dry_run: bool,
    },
    /// Give one its default again.
    Reset { key: String },
    /// What was changed about one.
    History { key: String },
    /// Print the settings that have not their default, as TOML that `import` takes; with `--output json` as the body of
    /// `PUT /api/v1/config`.
    Export {
        /// Those that have their default, too.
        #[arg(long, env = "CAIRN_ALL", value_parser = BoolishValueParser::new())]
        all: bool,
    },
    /// Set all settings of a TOML file, or none; what it does not name stays as it is.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Accept what values cost: with `unsafe` a crash of the host loses what is on disks.
        #[arg(long, env = "CAIRN_ACCEPT_LOSS", value_parser = BoolishValueParser::new())]
        accept_loss: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// The newest tasks.
    List,
    /// One task; with --wait once it has ended.
    Show { task: String },
    /// Cancel one; what it did is put back. A guest that was asked to shut down or reboot still may, until its patience ends.
    Cancel { task: String },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// All API tokens.
    List,
    /// Make one; it is shown this once.
    Create {
        name: String,
        /// Seconds until it ends by itself.
        #[arg(long, env = "CAIRN_EXPIRES", value_name = "SECONDS")]
        expires: Option<u64>,
    },
    /// Revoke one.
    Delete { token: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn check(command: &clap::Command) {
        for option in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
            let spared = ["help", "version"].contains(&option.get_id().as_str());
            let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
            assert!(
                spared || variable.is_some_and(|name| name.starts_with("CAIRN_")),
                "`{}` of `{}` has no variable",
                option.get_id(),
                command.get_name()
            );
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn every_option_is_a_variable_too() {
        let command = Cli::command();
        command.clone().debug_assert();
        check(&command);
    }
}
