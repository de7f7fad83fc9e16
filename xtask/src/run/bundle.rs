//! Files of others: copied or fetched into the cache under their SHA-256, and never used under another.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Did;
use crate::cache::used;
use crate::digest::hex_of_file;
use crate::environment;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::refs::is_url;

/// What curl's exit codes mean that another request can mend.
const CUT_OFF: i32 = 18;
const CANNOT_RESUME: i32 = 33;

/// Makes sure that `folder` holds the file with this SHA-256. What an interrupted transfer left is continued.
///
/// # Errors
/// If it cannot be had, or is another file: then nothing of it is kept.
pub fn fetch(
    name: &str,
    from: &str,
    sha256: &str,
    folder: &Path,
    offline: Option<&str>,
    progress: &Progress,
) -> Result<Did> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let kept = folder.join(sha256);
    if kept.exists() && hex_of_file(&kept)? == sha256 {
        used(kept);
        progress.say(&format!("{name} is in the cache"));
        return Ok(Did::Fetched { cached: true });
    }
    if let Some(fetch) = offline.filter(|_| is_url(from)) {
        return Err(Failure::unsupported(format!(
            "offline, and bundle `{name}` from `{from}` is not in the cache; run {fetch} where there is a network"
        )));
    }
    let part = folder.join(format!("{sha256}.part"));
    let mut continued = part.exists();
    get(name, from, &part)?;
    let mut found = hex_of_file(&part)?;
    if found != sha256 && continued && is_url(from) {
        // The beginning may be of another file than the rest.
        fs::remove_file(&part)?;
        continued = false;
        get(name, from, &part)?;
        found = hex_of_file(&part)?;
    }
    if found != sha256 {
        fs::remove_file(&part)?;
        return Err(Failure::damaged(format!(
            "bundle `{name}` from `{from}` has SHA-256 {found}, its manifest says {sha256}; \
             find out which is right before you change either"
        )));
    }
    if continued {
        progress.say(&format!("{name} was continued where an earlier transfer ended"));
    }
    fs::rename(&part, &kept).with_context(|| format!("cannot write `{}`", kept.display()))?;
    Ok(Did::Fetched { cached: false })
}

fn get(name: &str, from: &str, part: &Path) -> Result<()> {
    if is_url(from) {
        return download(name, from, part);
    }
    fs::copy(from, part).map(|_| ()).map_err(|error| {
        Failure::usage(format!(
            "cannot read bundle `{name}` at `{from}` ({error}); put it there, or mend its path"
        ))
    })
}

/// Asks again as long as there is a reason to: the transfer was cut off but brought something, or it has to start anew.
fn download(name: &str, url: &str, part: &Path) -> Result<()> {
    loop {
        let before = fs::metadata(part).map(|metadata| metadata.len()).ok();
        let mut command = Command::new("curl");
        environment::restrict(&mut command);
        command.args(["--fail", "--location", "--silent", "--show-error", "--continue-at", "-", "--output"]);
        let output = command
            .arg(part)
            .args(["--", url])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::unsupported(format!("cannot run `curl` ({error}); install it")))?;
        let after = fs::metadata(part).map(|metadata| metadata.len()).ok();
        match output.status.code() {
            // A file without a byte is a file too, and curl does not make it.
            Some(0) if after.is_none() => return fs::write(part, []).map_err(Into::into),
            Some(0) => return Ok(()),
            Some(CUT_OFF) if after > before => (),
            // The server starts from the beginning only.
            Some(CANNOT_RESUME) if before.is_some() => fs::remove_file(part)?,
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                let kept = if after.is_some() { "what arrived is kept, " } else { "" };
                bail!("cannot fetch bundle `{name}`: {}; {kept}build again to continue", said.trim());
            }
        }
    }
}
