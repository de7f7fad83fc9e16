//! Files of others: copied or fetched into the cache under their SHA-256, and never used under another.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::environment;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::refs::is_url;

/// curl's exit code when a server does not continue a transfer.
const CANNOT_RESUME: i32 = 33;

/// Makes sure that `folder` holds the file with this SHA-256. What an interrupted transfer left is continued.
///
/// # Errors
/// If it cannot be had, or is another file.
pub fn fetch(name: &str, from: &str, sha256: &str, folder: &Path, progress: &Progress) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let kept = folder.join(sha256);
    if kept.exists() && sha256_of(&kept)? == sha256 {
        progress.say(&format!("{name} is in the cache"));
        return Ok(());
    }
    let part = folder.join(format!("{sha256}.part"));
    if is_url(from) {
        download(name, from, &part)?;
    } else {
        fs::copy(from, &part).map_err(|error| {
            Failure::usage(format!(
                "cannot read bundle `{name}` at `{from}` ({error}); put it there, or mend its path"
            ))
        })?;
    }
    let found = sha256_of(&part)?;
    if found != sha256 {
        fs::remove_file(&part)?;
        return Err(Failure::damaged(format!(
            "bundle `{name}` from `{from}` has SHA-256 {found}, its manifest says {sha256}; \
             find out which is right before you change either"
        )));
    }
    fs::rename(&part, &kept).with_context(|| format!("cannot write `{}`", kept.display()))
}

fn download(name: &str, url: &str, part: &Path) -> Result<()> {
    for attempt in 0..2 {
        let mut command = Command::new("curl");
        environment::restrict(&mut command);
        command.args(["--fail", "--location", "--silent", "--show-error", "--continue-at", "-", "--output"]);
        let output = command
            .arg(part)
            .args(["--", url])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::unsupported(format!("cannot run `curl` ({error}); install it")))?;
        match output.status.code() {
            Some(0) => return Ok(()),
            // The server starts from the beginning only, or the part is already longer than the file.
            Some(CANNOT_RESUME | 22) if attempt == 0 && part.exists() => fs::remove_file(part)?,
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!(
                    "cannot fetch bundle `{name}`: {}; what arrived is kept, build again to continue",
                    said.trim()
                );
            }
        }
    }
    bail!("cannot fetch bundle `{name}` from `{url}`")
}

fn sha256_of(path: &Path) -> Result<String> {
    let read = || -> std::io::Result<String> {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        let mut buffer = vec![0; 1 << 20];
        loop {
            match std::io::Read::read(&mut file, &mut buffer)? {
                0 => break Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    read().with_context(|| format!("cannot read `{}`", path.display()))
}
