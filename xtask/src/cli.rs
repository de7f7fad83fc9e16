//! The command line. The flag structs are the arguments of the commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::progress::Format;
use crate::reach::Reach;
use crate::version::Version;

/// Builds, packages and tests Cairn.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    after_help = "\
Exit codes: 0 done, 1 a wrong option, ref, key or build.toml, 2 a damaged or badly signed file, 3 a tool is missing, or
with --offline what fetch brings, 4 no space, 7 a step failed, two builds differ, or
with bench --check a bound is not met, 8 not signed by a key that --trust names."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Task,
    /// Read the command line and stop. For the test that holds what the workflows call.
    #[arg(long, hide = true, global = true)]
    pub parse_only: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Compile the components at chosen refs and pack them into one self-extracting file.
    AllInOne(AllInOne),
    /// Bring everything that `all-in-one --offline` needs onto this machine.
    Fetch(Fetch),
    /// Check the signature, every byte and every entry of a packed file.
    Verify(Verify),
    /// Show what a packed file was built from.
    Inspect(Inspect),
    /// Compare two packed files, and name what differs.
    Compare(Compare),
    /// Write a release into the manifest: each component's ref and commit.
    Pin(Pin),
    /// Make a pair of keys to sign packed files with.
    Keygen(Keygen),
    /// Sign a packed file that was not signed when it was built.
    Sign(Sign),
    /// Make a file that holds only what a new packed file has and an old one lacks.
    Delta(Delta),
    /// Packages of operating systems that are carried along: their lock, their files, their sources.
    Os(Os),
    /// Measure packing, checking, unpacking and deltas, and makeself beside it, with the same files in the same run; or with
    /// `--part vm` virtual machines, beside virsh.
    Bench(Bench),
    /// Run a server and an agent of this tree here, with simulated virtual machines, until Ctrl-C.
    Dev(Dev),
    /// Run all tests.
    Test(Test),
    /// Write the files anew that are checked in and follow from the code: the API's description, golden domains.
    Codegen,
}

/// Options of `all-in-one`.
#[derive(Clone, Debug, Args)]
pub struct AllInOne {
    /// A release of the manifest, or a ref that every component is built at. Without it: the worktree.
    #[arg(long, value_name = "V", env = "CAIRN_VERSION")]
    pub version: Option<Version>,
    /// What it is built from.
    #[command(flatten)]
    pub choice: Choice,
    /// What is carried along besides.
    #[command(flatten)]
    pub os: OsArgs,
    /// Append this to the version, and so to the file's name.
    #[arg(long, env = "CAIRN_NAME")]
    pub name: Option<String>,
    /// Put the result here, by default target/dist of this tree.
    #[arg(long, value_name = "DIR", env = "CAIRN_OUT")]
    pub out: Option<PathBuf>,
    /// Which machines its programs are for.
    #[command(flatten)]
    pub reach: Reach,
    /// How many things are done at once, by default one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "CAIRN_JOBS")]
    pub jobs: Option<u16>,
    /// Build twice, the second time from nothing, elsewhere and in other surroundings, and publish only what is the same.
    #[arg(long, env = "CAIRN_VERIFY_REPRODUCIBLE")]
    pub verify_reproducible: bool,
    /// Build what --version names although this tree, which script and helper come from, has uncommitted changes.
    #[arg(long, env = "CAIRN_ALLOW_DIRTY")]
    pub allow_dirty: bool,
    /// Open no connection: take sources, crates and bundled files as `cargo xtask fetch` has brought them.
    #[arg(long, env = "CAIRN_OFFLINE")]
    pub offline: bool,
    /// Which key signs the result.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Print the plan and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Speak to people, or one JSON object a line.
    #[arg(long, value_enum, default_value = "human", env = "CAIRN_FORMAT")]
    pub format: Format,
    /// Print only the result and what is wrong.
    #[arg(long, short)]
    pub quiet: bool,
}

/// What is meant: a manifest, its sources, and refs of single components.
#[derive(Clone, Debug, Args)]
pub struct Choice {
    /// Take this component at this ref: `worktree`, a release, a tag, a branch or a commit. Repeatable.
    #[arg(long, value_name = "NAME=REF", value_parser = name_and_ref)]
    pub component: Vec<(String, String)>,
    /// Look for sources with a relative path here instead of beside the manifest.
    #[arg(long, value_name = "DIR", env = "CAIRN_SOURCE_ROOT")]
    pub source_root: Option<PathBuf>,
    /// The manifest, by default the build.toml of this tree.
    #[arg(long, value_name = "FILE", env = "CAIRN_MANIFEST")]
    pub manifest: Option<PathBuf>,
    /// Keep mirrors, checkouts and compressed members here, by default in the user's cache folder.
    #[arg(long, value_name = "DIR", env = "CAIRN_CACHE")]
    pub cache: Option<PathBuf>,
}

/// Which packages of operating systems are carried along.
#[derive(Clone, Debug, Args)]
pub struct OsArgs {
    /// Carry the packages that hosts of this release need: the name of a file in packaging/os. Repeatable.
    #[arg(long, value_name = "NAME", env = "CAIRN_OS", value_delimiter = ',')]
    pub os: Vec<String>,
    /// Carry the versions of the day, as a build without --version does, and not those of the lock.
    #[arg(long, env = "CAIRN_OS_UNLOCKED")]
    pub os_unlocked: bool,
    /// Make a small guest image of packages, and put it into the file: the first virtual machine of a host without a network.
    #[arg(long, env = "CAIRN_GUEST")]
    pub guest: bool,
}

/// Where a private key is. Never the key itself: others see a command line.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// Sign with this private key. The variable CAIRN_KEY_PEM may hold the key itself instead.
    #[arg(long, value_name = "FILE", env = "CAIRN_KEY", hide_env_values = true)]
    pub key: Option<PathBuf>,
    /// Its passphrase.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Where a passphrase comes from when nobody is to be asked.
#[derive(Clone, Debug, Args)]
pub struct PassphraseArgs {
    /// Take the key's passphrase from the first line of this file. The variable CAIRN_KEY_PASSPHRASE may hold it instead;
    /// without either it is asked for on the terminal.
    #[arg(long, value_name = "FILE", env = "CAIRN_KEY_PASSPHRASE_FILE", hide_env_values = true)]
    pub passphrase_file: Option<PathBuf>,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The file.
    pub file: PathBuf,
    /// Demand a signature by this public key. Repeatable: one of them has to have signed.
    #[arg(long, value_name = "KEY.pub")]
    pub trust: Vec<PathBuf>,
}

/// Options of `fetch`: those that `all-in-one` will be called with.
#[derive(Clone, Debug, Args)]
pub struct Fetch {
    /// A release of the manifest, or a ref that every component is built at. Without it: the worktree.
    #[arg(long, value_name = "V", env = "CAIRN_VERSION")]
    pub version: Option<Version>,
    /// What it is built from.
    #[command(flatten)]
    pub choice: Choice,
    /// What is carried along besides.
    #[command(flatten)]
    pub os: OsArgs,
    /// Which machines its programs are for.
    #[command(flatten)]
    pub reach: Reach,
    /// Print only what is wrong.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// A packed file, or a folder that holds one.
    pub first: PathBuf,
    /// Another one.
    pub second: PathBuf,
}

/// Options of `pin`.
#[derive(Debug, Args)]
pub struct Pin {
    /// The release.
    pub version: Version,
    /// What it is pinned to: by default the commit that each source's tree stands on.
    #[command(flatten)]
    pub choice: Choice,
    /// Change pins that the release has.
    #[arg(long)]
    pub replace: bool,
}

/// Options of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Where the private key goes. The public key goes beside it, with `.pub` behind its name.
    pub file: PathBuf,
    /// Do not encrypt the private key.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub no_passphrase: bool,
    /// The passphrase that encrypts it.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Options of `sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The file.
    pub file: PathBuf,
    /// Which key signs it.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Put the signature in the place of one that is there.
    #[arg(long)]
    pub replace: bool,
}

/// Options of `delta`.
#[derive(Debug, Args)]
pub struct Delta {
    /// The file that hosts have.
    #[arg(value_name = "OLD.run")]
    pub old: PathBuf,
    /// The file that they are to get.
    #[arg(value_name = "NEW.run")]
    pub new: PathBuf,
    /// Put the result here, by default target/dist of this tree.
    #[arg(long, value_name = "DIR", env = "CAIRN_OUT")]
    pub out: Option<PathBuf>,
    /// Which key signs the delta. What it makes has the signature that the new file has.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The file.
    pub file: PathBuf,
    /// Speak to people, or print the manifest as it lies in the file.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
}

/// Options of `os`.
#[derive(Debug, Args)]
pub struct Os {
    /// What to do.
    #[command(subcommand)]
    pub task: OsTask,
}

/// What can be done about carried packages.
#[derive(Debug, Subcommand)]
pub enum OsTask {
    /// Write the lock that releases are built by: the versions that the mirror has now.
    Update(OsUpdate),
    /// Take the packages that a packed file carries into the cache: mirrors keep only versions of now.
    Import(OsImport),
    /// Fetch the source packages of what the lock names.
    Sources(OsSources),
}

/// Options of `os update`.
#[derive(Debug, Args)]
pub struct OsUpdate {
    /// Of these releases of operating systems; by default of all.
    pub os: Vec<String>,
    /// Where the sets and their locks lie: beside the manifest.
    #[command(flatten)]
    pub choice: Choice,
}

/// Options of `os import`.
#[derive(Debug, Args)]
pub struct OsImport {
    /// A packed file that was built with --os.
    pub file: PathBuf,
    /// The cache folder, by default the user's.
    #[arg(long, value_name = "DIR", env = "CAIRN_CACHE")]
    pub cache: Option<PathBuf>,
}

/// Options of `os sources`.
#[derive(Debug, Args)]
pub struct OsSources {
    /// Of these releases of operating systems; by default of all.
    pub os: Vec<String>,
    /// Where the sets and their locks lie: beside the manifest.
    #[command(flatten)]
    pub choice: Choice,
    /// Put them here, in a folder for each release.
    #[arg(long, value_name = "DIR", env = "CAIRN_OUT")]
    pub out: PathBuf,
}

/// Options of `bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    /// What is measured: the packed file, or virtual machines, which takes the superuser.
    #[arg(long = "part", value_enum, default_value = "archive")]
    pub of: BenchOf,
    /// The release whose files are packed, built as all-in-one builds it. Without it and without --run: the worktree.
    #[arg(long, value_name = "V")]
    pub release: Option<Version>,
    /// Take the files of this packed file, and build nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    pub run: Option<PathBuf>,
    /// How often everything is measured. What is shown are medians.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Measure only what has this in its name.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// End with exit code 7 if a bound is not met.
    #[arg(long)]
    pub check: bool,
    /// A table for people, or JSON, as it is also written to the folder.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// Work here and leave the JSON here, by default target/bench of this tree.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Bytes of the part that is like packages of an operating system. For tests.
    #[arg(long, value_name = "N", hide = true, default_value_t = 105_000_000)]
    pub packages_bytes: u64,
    /// Bytes of the large file that is listed. For tests.
    #[arg(long, value_name = "N", hide = true, default_value_t = 1_000_000_000)]
    pub large_bytes: u64,
    /// What is measured runs in processes of its own.
    #[command(subcommand)]
    pub part: Option<BenchPart>,
}

/// What `bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchOf {
    /// Packing, checking, unpacking and deltas, beside makeself.
    Archive,
    /// Starts and live changes of cache modes, beside virsh; writes in each mode.
    Vm,
}

/// What `bench` starts itself for.
#[derive(Debug, Subcommand)]
pub enum BenchPart {
    /// Run a program and write down what it took.
    #[command(hide = true)]
    Measure(BenchMeasure),
    /// Pack files, as `all-in-one` does.
    #[command(hide = true)]
    Pack(BenchPack),
    /// Make a delta, as `delta` does.
    #[command(hide = true)]
    Delta(BenchDelta),
}

/// Options of `bench measure`.
#[derive(Debug, Args)]
pub struct BenchMeasure {
    /// Where it is written down.
    #[arg(long)]
    pub report: PathBuf,
    /// A folder whose growth counts. Repeatable.
    #[arg(long)]
    pub grows: Vec<PathBuf>,
    /// A folder or file that does not count. Repeatable.
    #[arg(long)]
    pub except: Vec<PathBuf>,
    /// The program and its words.
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// Options of `bench pack`.
#[derive(Debug, Args)]
pub struct BenchPack {
    /// What is packed.
    #[arg(long)]
    pub spec: PathBuf,
    /// Where compressed members are kept.
    #[arg(long)]
    pub cache: PathBuf,
    /// The result.
    #[arg(long)]
    pub out: PathBuf,
}

/// Options of `bench delta`.
#[derive(Debug, Args)]
pub struct BenchDelta {
    /// From.
    pub old: PathBuf,
    /// To.
    pub new: PathBuf,
    /// The result.
    #[arg(long)]
    pub out: PathBuf,
}

/// Options of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// Begin anew: forget all data and the password.
    #[arg(long)]
    pub fresh: bool,
    /// Where the dashboard is served, by default 8443 if that is free.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The folder that all of it lies in, by default target/dev.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Also what takes long.
    #[arg(long)]
    pub full: bool,
    /// Pass only the tests whose name holds this to the test programs.
    pub filter: Option<String>,
}

fn name_and_ref(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, reference))
            if !name.is_empty() && !reference.is_empty() && !reference.starts_with('-') =>
        {
            Ok((name.to_owned(), reference.to_owned()))
        }
        _ => Err("write NAME=REF, for example server=0.9".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_component_needs_a_name_and_a_ref() {
        assert_eq!(name_and_ref("server=0.9"), Ok(("server".into(), "0.9".into())));
        for bad in ["server", "=0.9", "server=", "server=--upload-pack=x"] {
            assert!(name_and_ref(bad).is_err(), "{bad}");
        }
    }
}
