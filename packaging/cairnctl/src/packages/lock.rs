//! The lock of the host's package manager: waited for, and its holder named.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::exit::{Code, Exit};
use crate::say;

/// What front ends of dpkg hold while they work, and dpkg itself.
const LOCKS: [&str; 2] = ["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"];

/// How often it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    lock: PathBuf,
    process: String,
}

/// Waits until nobody works on the packages of the host below `root`, no longer than `limit`.
///
/// # Errors
/// Exit code 5, naming who does.
pub fn wait(root: &Path, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let mut told = false;
    while let Some(holder) = holder(root)? {
        if Instant::now() >= deadline {
            return Err(held(&holder, limit));
        }
        if !told {
            say::complain(format_args!(
                "waiting for {}, which works on the packages of this host",
                holder.process
            ));
            told = true;
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// The error for a lock that somebody holds, if one does.
pub fn if_held(root: &Path, limit: Duration) -> Option<anyhow::Error> {
    holder(root).ok().flatten().map(|holder| held(&holder, limit))
}

fn held(holder: &Holder, limit: Duration) -> anyhow::Error {
    let Holder { lock, process } = holder;
    let sentence = format!(
        "{process} holds `{}`, and did so for {} s; wait for it to end, and run this again",
        lock.display(),
        limit.as_secs()
    );
    Exit::error(Code::Locked, sentence)
}

fn holder(root: &Path) -> Result<Option<Holder>> {
    for name in LOCKS {
        let lock = root.join(name);
        let file = match File::open(&lock) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot open `{}`", lock.display())),
        };
        let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock));
        let found = found.with_context(|| format!("cannot ask who holds `{}`", lock.display()))?;
        if let Some(found) = found {
            let process = found.pid.map_or("another process".to_owned(), |pid| named(pid.as_raw_pid()));
            return Ok(Some(Holder { lock, process }));
        }
    }
    Ok(None)
}

fn named(pid: i32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} (`{}`)", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}
