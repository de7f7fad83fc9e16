//! The host's own apt and dpkg, with carried packages as the only source. The host's sources and lists, its preferences and the
//! cache of its packages are neither read nor written: they have nothing to say about what is carried.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::judge::{is_unfinished, unmet};
use super::lock;
use crate::exit::{Code, Exit};
use crate::host;

/// How long apt waits for a lock that somebody took after we looked.
const LOCK_SECONDS: u64 = 10;

/// apt, and where it works.
pub struct Apt {
    /// Settings, and lists of what is carried.
    folder: PathBuf,
    /// How long somebody else may work on the host's packages.
    patience: Duration,
}

impl Apt {
    /// Prepares apt to install from the packages in `packages`, with `folder`, which must be there and be empty, as its own.
    ///
    /// # Errors
    /// Exit code 3 where there is no apt.
    pub fn new(folder: &Path, packages: &Path, patience: Duration) -> Result<Self> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not text");
        let (own, packages) = (text(folder)?, text(packages)?);
        for name in ["lists", "lists/partial", "archives", "archives/partial"] {
            host::make_folder(&folder.join(name), 0o755)?;
        }
        let settings = format!(
            "Dir::Etc::sourcelist \"{own}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::State::lists \"{own}/lists/\";\nDir::Cache::archives \"{own}/archives/\";\n\
             Dir::Cache::pkgcache \"{own}/pkgcache.bin\";\nDir::Cache::srcpkgcache \"{own}/srcpkgcache.bin\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\n\
             APT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\nAPT::Default-Release \"\";\n\
             DPkg::Options {{ \"--force-confdef\"; \"--force-confold\"; }};\nDPkg::Lock::Timeout \"{LOCK_SECONDS}\";\n"
        );
        // The archive was checked as a whole, and this is a folder of it: a signature of Debian's is not what speaks for it.
        let sources = format!("deb [trusted=yes] file:{packages} ./\n");
        for (name, text) in [("apt.conf", settings), ("sources.list", sources)] {
            host::write_whole(&folder.join(name), text.as_bytes(), 0o644)?;
        }
        let apt = Self { folder: folder.to_owned(), patience };
        apt.checked("read the list of carried packages", apt.apt_get(&["update"]))?;
        Ok(apt)
    }

    /// What installing `names` would do, in apt's words, removals included: who reads them refuses those.
    ///
    /// # Errors
    /// Exit code 3 if they cannot be installed beside what is there.
    pub fn simulate(&self, names: &[&str]) -> Result<String> {
        let words = [&["--simulate"][..], &INSTALL, names].concat();
        let output = run(self.apt_get(&words))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let why = unmet(&said).unwrap_or_else(|| faults(&output));
        let sentence = format!(
            "the carried packages cannot be installed beside what this host has ({why}); bring what is named to a version of \
             this host's release, or install QEMU and libvirt yourself"
        );
        Err(Exit::error(Code::Unsupported, sentence))
    }

    /// Installs `names` with all that they need, and waits for whoever works on the host's packages.
    ///
    /// # Errors
    /// Exit code 5 if somebody goes on doing so, 7 if it fails: the next run finishes what this one began.
    pub fn install(&self, names: &[&str]) -> Result<()> {
        lock::wait(Path::new("/"), self.patience)?;
        self.checked(
            "install packages",
            self.apt_get(&[&["--yes", "--no-remove"][..], &INSTALL, names].concat()),
        )
    }

    /// Finishes what an earlier run of the package manager was interrupted in.
    ///
    /// # Errors
    /// Exit code 5 as [`Apt::install`].
    pub fn finish(&self) -> Result<()> {
        lock::wait(Path::new("/"), self.patience)?;
        let mut command = Command::new("dpkg");
        command.args(["--force-confdef", "--force-confold", "--configure", "--pending"]);
        // What lacks something still is mended by the installation that follows, which may bring it; that one has to succeed.
        run(plain(command)).map(drop)
    }

    fn checked(&self, what: &str, command: Command) -> Result<()> {
        let output = run(command)?;
        if output.status.success() {
            return Ok(());
        }
        let said = faults(&output);
        if said.contains("Could not get lock")
            && let Some(error) = lock::if_held(Path::new("/"), self.patience)
        {
            return Err(error);
        }
        let sentence = format!(
            "apt could not {what}: {said}; see to that, and run this again: it goes on where this ended"
        );
        Err(Exit::error(Code::Failed, sentence))
    }

    fn apt_get(&self, words: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        // Settings of our own come last: they count, and the host's configuration says the rest.
        command.arg("--config-file").arg(self.folder.join("apt.conf")).arg("--quiet").args(words);
        plain(command)
    }
}

/// What is never left out when packages are installed, or when it is asked what that would do.
const INSTALL: [&str; 3] = ["install", "--no-install-recommends", "--fix-broken"];

fn plain(mut command: Command) -> Command {
    command
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env_remove("APT_CONFIG")
        .stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().map_err(|error| {
        Exit::error(
            Code::Unsupported,
            format!("cannot run `{program}` ({error}); carried packages are for hosts that have it"),
        )
    })
}

/// The lines that say what is wrong, or else the last ones.
fn faults(output: &Output) -> String {
    let (errors, all) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let is_fault = |line: &&str| {
        line.starts_with("E: ") || line.starts_with("dpkg: error") || line.starts_with("Error: ")
    };
    let found: Vec<&str> = errors.lines().filter(is_fault).collect();
    if !found.is_empty() {
        return found.join(" ");
    }
    let last: Vec<&str> = errors.lines().chain(all.lines()).filter(|line| !line.trim().is_empty()).collect();
    last[last.len().saturating_sub(3)..].join(" ")
}

/// Whether an earlier run of the package manager did not come to its end on this host.
///
/// # Errors
/// Exit code 3 if the host has no database of packages.
pub fn unfinished() -> Result<bool> {
    let folder = Path::new("/var/lib/dpkg");
    let status = fs::read_to_string(folder.join("status")).map_err(|error| {
        let sentence = format!(
            "cannot read `{}/status` ({error}); carried packages are for hosts that have dpkg",
            folder.display()
        );
        Exit::error(Code::Unsupported, sentence)
    })?;
    let entries = fs::read_dir(folder.join("updates")).into_iter().flatten().flatten();
    let updates: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    Ok(is_unfinished(&status, &updates))
}

/// What dpkg finds wrong with the packages of this host; empty if nothing.
///
/// # Errors
/// If it cannot be asked.
pub fn audit() -> Result<String> {
    let mut command = Command::new("dpkg");
    command.arg("--audit");
    let output = run(plain(command))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
