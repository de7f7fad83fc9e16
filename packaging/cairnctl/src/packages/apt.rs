//! The host's own apt and dpkg, with carried packages as the only source. The host's sources and lists, its preferences and the
//! cache of its packages are neither read nor written: they have nothing to say about what is carried.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::judge::{installed_names, is_unfinished, unmet};
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
    /// Prepares apt to install from the packages in `packages`, or to know of none, with `folder`, which must be there and be
    /// empty, as its own.
    ///
    /// # Errors
    /// Exit code 3 where there is no apt.
    pub fn new(folder: &Path, packages: Option<&Path>, patience: Duration) -> Result<Self> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not text");
        let own = text(folder)?;
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
        let sources = match packages {
            Some(packages) => format!("deb [trusted=yes] file:{} ./\n", text(packages)?),
            None => String::new(),
        };
        for (name, text) in [("apt.conf", settings), ("sources.list", sources)] {
            host::write_whole(&folder.join(name), text.as_bytes(), 0o644)?;
        }
        let apt = Self { folder: folder.to_owned(), patience };
        if packages.is_some() {
            apt.checked("read the list of carried packages", apt.apt_get(&["update"]))?;
        }
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

    /// Waits until nobody else works on the host's packages.
    ///
    /// # Errors
    /// Exit code 5 if somebody goes on doing so.
    pub fn wait(&self) -> Result<()> {
        lock::wait(Path::new("/"), self.patience)
    }

    /// Installs `names` with all that they need, and waits for whoever works on the host's packages.
    ///
    /// # Errors
    /// Exit code 5 if somebody goes on doing so, 7 if it fails: the next run finishes what this one began.
    pub fn install(&self, names: &[&str]) -> Result<()> {
        self.wait()?;
        self.checked(
            "install packages",
            self.apt_get(&[&["--yes", "--no-remove"][..], &INSTALL, names].concat()),
        )
    }

    /// What would be removed if nobody had asked for the packages in `states` (apt's own list of those that are there for others'
    /// sake) and all others had been asked for.
    ///
    /// # Errors
    /// Exit code 7 if it cannot be found out.
    pub fn simulate_autoremove(&self, states: &str) -> Result<String> {
        let file = self.folder.join("extended_states");
        host::write_whole(&file, states.as_bytes(), 0o644)?;
        // What something else only recommends or suggests is not needed by it: it was there without.
        let settings = [
            format!("Dir::State::extended_states={}", file.display()),
            "APT::AutoRemove::RecommendsImportant=false".to_owned(),
            "APT::AutoRemove::SuggestsImportant=false".to_owned(),
        ];
        let mut command = self.apt_get(&["--simulate", "autoremove"]);
        for setting in settings {
            command.arg("--option").arg(setting);
        }
        self.said("find out which packages nothing needs", command)
    }

    /// What removing `names` would do.
    ///
    /// # Errors
    /// Exit code 7 if it cannot be found out.
    pub fn simulate_remove(&self, names: &[&str]) -> Result<String> {
        let words = [&["--simulate", "remove"][..], names].concat();
        self.said("find out what a removal would do", self.apt_get(&words))
    }

    /// Removes `names`, with `purge` also their configuration.
    ///
    /// # Errors
    /// Exit code 5 as [`Apt::install`], 7 if it fails.
    pub fn remove(&self, names: &[&str], purge: bool) -> Result<()> {
        self.wait()?;
        let verb = if purge { "purge" } else { "remove" };
        self.checked("remove packages", self.apt_get(&[&["--yes", verb][..], names].concat()))
    }

    /// Finishes what an earlier run of the package manager was interrupted in.
    ///
    /// # Errors
    /// Exit code 5 as [`Apt::install`].
    pub fn finish(&self) -> Result<()> {
        self.wait()?;
        let mut command = Command::new("dpkg");
        command.args(["--force-confdef", "--force-confold", "--configure", "--pending"]);
        // What lacks something still is mended by the installation that follows, which may bring it; that one has to succeed.
        run(plain(command)).map(drop)
    }

    fn checked(&self, what: &str, command: Command) -> Result<()> {
        self.said(what, command).map(drop)
    }

    fn said(&self, what: &str, command: Command) -> Result<String> {
        let output = run(command)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = faults(&output);
        if said.contains("Could not get lock")
            && let Some(error) = lock::if_held(Path::new("/"), self.patience)
        {
            return Err(error);
        }
        let all = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
        let (code, remedy) = match all.iter().flat_map(|text| text.lines()).find(|line| lacks_room(line)) {
            Some(line) => (Code::NoSpace, format!("{}; make room there", line.trim())),
            None => (Code::Failed, "see to that".to_owned()),
        };
        let sentence = format!(
            "apt could not {what}: {said}; {remedy}, and run this again: it goes on where this ended"
        );
        Err(Exit::error(code, sentence))
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

/// Whether apt or dpkg says here that bytes or inodes ran out.
fn lacks_room(line: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "enough free space in"]
        .iter()
        .any(|words| line.contains(words))
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

/// dpkg's own folder.
const DPKG: &str = "/var/lib/dpkg";

fn status() -> Result<String> {
    let file = Path::new(DPKG).join("status");
    fs::read_to_string(&file).map_err(|error| {
        let sentence = format!(
            "cannot read `{}` ({error}); carried packages are for hosts that have dpkg",
            file.display()
        );
        Exit::error(Code::Unsupported, sentence)
    })
}

/// Names of all packages that are installed.
///
/// # Errors
/// Exit code 3 if the host has no database of packages.
pub fn installed() -> Result<BTreeSet<String>> {
    Ok(installed_names(&status()?))
}

/// The architecture that the host's packages are for, in dpkg's words.
///
/// # Errors
/// If dpkg cannot be asked.
pub fn architecture() -> Result<String> {
    let mut command = Command::new("dpkg");
    command.arg("--print-architecture");
    Ok(String::from_utf8_lossy(&run(plain(command))?.stdout).trim().to_owned())
}

/// Whether an earlier run of the package manager did not come to its end on this host.
///
/// # Errors
/// Exit code 3 if the host has no database of packages.
pub fn unfinished() -> Result<bool> {
    let status = status()?;
    let entries = fs::read_dir(Path::new(DPKG).join("updates")).into_iter().flatten().flatten();
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
