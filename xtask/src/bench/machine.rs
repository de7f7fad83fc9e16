//! Where it was measured: what has to be known to compare two reports, and nothing that names the machine or its user.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::all_in_one::tree;

/// What the programs that are measured say of their version.
const VERSIONS: [(&str, &[&str]); 9] = [
    ("makeself", &["--version"]),
    ("gzip", &["--version"]),
    ("pigz", &["--version"]),
    ("zstd", &["--version"]),
    ("openssl", &["version"]),
    ("tar", &["--version"]),
    ("sha256sum", &["--version"]),
    ("shasum", &["--version"]),
    ("rustc", &["--version"]),
];

/// The machine and what runs on it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The processor's name, as it says.
    pub cpu: String,
    /// How many threads it runs at once.
    pub processors: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// The distribution.
    pub system: String,
    /// The kernel's version.
    pub kernel: String,
    /// The commit of this tree.
    pub commit: String,
    /// Whether the tree has changes beyond it.
    pub dirty: bool,
    /// How the packing program was compiled: `cargo xtask` runs it as this profile makes it.
    pub profile: &'static str,
    /// Processes that wanted to run, in the last minute.
    pub load_before: f64,
    /// The same at the end.
    pub load_after: f64,
    /// The first line of what each program says of its version.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// If the system or git does not say.
    pub fn this() -> Result<Self> {
        let read =
            |file: &str| std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"));
        let word = |text: &str, key: &str, sign: char| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(sign))
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let memory = word(&read("/proc/meminfo")?, "MemTotal", ':').unwrap_or_default();
        let kib: u64 = memory.split(' ').next().unwrap_or_default().parse().unwrap_or_default();
        let shell = Shell::new()?;
        shell.change_dir(tree());
        Ok(Self {
            cpu: word(&read("/proc/cpuinfo")?, "model name", ':').unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kib * 1024,
            system: word(&read("/etc/os-release")?, "PRETTY_NAME", '=').unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            commit: cmd!(shell, "git rev-parse HEAD").read()?,
            dirty: !cmd!(shell, "git status --porcelain").read()?.is_empty(),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            load_before: load()?,
            load_after: 0.0,
            versions: VERSIONS.iter().filter_map(|(program, words)| version(program, words)).collect(),
        })
    }
}

/// Processes that wanted to run, in the last minute.
///
/// # Errors
/// If the system does not say.
pub fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read `/proc/loadavg`")?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().with_context(|| format!("`{first}` is no load"))
}

/// Nothing for a program that is not there.
fn version(program: &str, words: &[&str]) -> Option<(String, String)> {
    let output = Command::new(program).args(words).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said).lines().find(|line| !line.trim().is_empty())?.trim().to_owned();
    Some((program.to_owned(), line))
}
