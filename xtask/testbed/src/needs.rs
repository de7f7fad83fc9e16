//! What the testbed needs from this machine: the superuser, and two small Debian packages.

use crate::process::{self, Input};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Programs that are not on every Debian machine, and the packages that bring them. The others that the testbed
/// calls are in essential packages.
const PROGRAMS: [(&str, &str); 2] = [("mmdebstrap", "mmdebstrap"), ("systemd-nspawn", "systemd-container")];

/// The options of every apt call that changes this machine.
pub(crate) const APT: [&str; 2] = ["--option", "DPkg::Lock::Timeout=300"];

/// How long apt may take on a slow line.
pub(crate) const APT_LIMIT: Duration = Duration::from_secs(1800);

/// How long another apt may hold the lock of the lists.
const LOCKED_LIMIT: Duration = Duration::from_secs(300);

/// Makes sure that the testbed can work here: installs, as the superuser, the packages that are missing, after
/// having said which; otherwise fails with the one command to run.
pub(crate) fn ensure(say: &dyn Fn(&str)) -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    let root = rustix::process::geteuid().is_root();
    if !missing.is_empty() {
        let names = missing.join(" ");
        if !root {
            bail!("the testbed lacks `{names}`; run `sudo apt-get install --no-install-recommends {names}`");
        }
        say(&format!("installing Debian packages for the testbed: {names}"));
        install(&missing)?;
    }
    if !root {
        bail!("the testbed mounts and boots, which takes the superuser; run this as root");
    }
    Ok(())
}

/// Brings apt's lists up to date. Another apt that does so too is waited for; apt itself waits only for dpkg's lock.
pub(crate) fn update() -> Result<()> {
    let mut result = Ok(());
    process::until(LOCKED_LIMIT, || {
        result = apt(&["update"]);
        Ok(!result.as_ref().is_err_and(|error| error.to_string().contains("Could not get lock")))
    })?;
    result
}

fn install(packages: &[&str]) -> Result<()> {
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    // A package is unknown, or its file is no longer on the mirror, where the lists are missing or old.
    apt(&words).or_else(|_| update().and_then(|()| apt(&words)))
}

fn apt(words: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(APT).args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    let done = process::finish(command, Input::Nothing, APT_LIMIT)
        .with_context(|| format!("`apt-get {}`", words.join(" ")))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("`apt-get {}` failed: {said}; run it by hand to see more", words.join(" "));
    }
    Ok(())
}

fn found(program: &str) -> bool {
    let (_, path) = process::PLAIN_ENV[0];
    path.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_where_they_will_be_run_from() {
        assert!(found("sh"));
        assert!(!found("no-such-program"));
    }
}
