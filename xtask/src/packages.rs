//! The programs of the operating system that a command needs, and how they come onto this machine: as the superuser on
//! Debian they are announced and installed, otherwise the command that does it is printed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::failure::Failure;

/// A program, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    program: &'static str,
    /// What it is called with where it may lack a part, and then fails.
    probe: &'static [&'static str],
    package: &'static str,
}

impl Tool {
    const fn program(program: &'static str, package: &'static str) -> Self {
        Self { program, probe: &[], package }
    }

    fn is_there(&self) -> bool {
        let works = || {
            let mut command = Command::new(self.program);
            command.args(self.probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        is_there(self.program) && (self.probe.is_empty() || works())
    }
}

/// What `all-in-one` runs.
pub const BUILD: &[Tool] =
    &[Tool::program("git", "git"), Tool::program("cc", "gcc"), Tool::program("curl", "curl")];

/// What brings the compiler of portable programs: Python with its virtual environments, and so pip.
pub const PIP: &[Tool] =
    &[Tool { program: "python3", probe: &["-c", "import ensurepip, venv"], package: "python3-venv" }];

/// What the tests run besides: the shells that the stub has to work under, tools that read an archive, and what signs a mirror.
pub const TEST: &[Tool] = &[
    Tool::program("dash", "dash"),
    Tool::program("busybox", "busybox-static"),
    Tool::program("gpg", "gpg"),
    Tool::program("openssl", "openssl"),
    Tool::program("pigz", "pigz"),
    Tool::program("python3", "python3"),
];

/// What `bench` measures and compares with. The tests run it once.
pub const BENCH: &[Tool] = &[
    Tool::program("makeself", "makeself"),
    Tool::program("gzip", "gzip"),
    Tool::program("pigz", "pigz"),
    Tool::program("zstd", "zstd"),
    Tool::program("openssl", "openssl"),
];

/// Makes sure that the tools are there. Nothing is installed without a network, only said.
///
/// # Errors
/// With the command that installs what is missing, if this program cannot.
pub fn require(tools: &[Tool], offline: bool, say: &dyn Fn(&str)) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|tool| !tool.is_there()).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let by_hand =
        format!("this machine lacks {names}; run: apt-get install --yes --no-install-recommends {names}");
    if offline || !is_there("apt-get") || !is_root() {
        return Err(Failure::unsupported(by_hand));
    }
    say(&format!("installing the Debian packages {names}"));
    let install = || apt(&[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat());
    // A machine that never asked its mirror knows no package.
    if install() || (apt(&["update"]) && install()) {
        return Ok(());
    }
    Err(Failure::unsupported(by_hand))
}

fn apt(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        || Path::new("/usr/sbin").join(program).is_file()
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}
