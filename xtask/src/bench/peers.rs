//! What is compared with, as its users call it, and the search path of a host on which our helper does not run.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::operation::Subject;

/// What a host needs to unpack with the script alone.
const BASE: [&str; 13] =
    ["cat", "gzip", "head", "mkdir", "printf", "rm", "rmdir", "sh", "sha256sum", "tail", "tar", "tr", "wc"];

/// A command line.
pub fn words(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// Packs `tree`. SHA-256 because ours has it; zstd at its own default level, pigz on every processor, gzip as makeself has it.
pub fn pack(peer: Subject, tree: &Path, out: &Path) -> Vec<OsString> {
    let how: &[&str] = match peer {
        Subject::Pigz => &["--pigz"],
        Subject::Zstd => &["--zstd", "--complevel", "3"],
        _ => &["--gzip"],
    };
    let mut line = words(&[&"makeself", &"--quiet", &"--sha256"]);
    line.extend(how.iter().map(OsString::from));
    line.extend(words(&[&tree, &out, &"payload", &"./install.sh"]));
    line
}

/// Checks what was packed.
pub fn verify(archive: &Path) -> Vec<OsString> {
    words(&[&"sh", &archive, &"--check", &"--quiet"])
}

/// Checks it and unpacks all of it.
pub fn extract(archive: &Path, folder: &Path) -> Vec<OsString> {
    words(&[&"sh", &archive, &"--noexec", &"--quiet", &"--target", &folder])
}

/// Names its entries.
pub fn list(archive: &Path) -> Vec<OsString> {
    words(&[&"sh", &archive, &"--list"])
}

/// Unpacks one entry to standard output.
pub fn one_file(archive: &Path, entry: &str) -> Vec<OsString> {
    words(&[&"sh", &archive, &"--tar", &"xOf", &format!("./{entry}")])
}

/// makeself has no delta. The best that its users have is made of two whole files.
pub fn patch(old: &Path, new: &Path, out: &Path) -> Vec<OsString> {
    let mut from = OsString::from("--patch-from=");
    from.push(old);
    words(&[&"zstd", &"--quiet", &"-3", &"--long=31", &from, &new, &"-o", &out])
}

/// A folder that is the whole search path of a host with a few tools, where nothing that is written can be run: its `chmod`
/// does nothing, which is what our script meets where everything is mounted `noexec`.
///
/// # Errors
/// If this machine lacks one of the tools.
pub fn search_path(folder: PathBuf, with_openssl: bool) -> Result<PathBuf> {
    fs::create_dir(&folder)?;
    for tool in BASE.into_iter().chain(with_openssl.then_some("openssl")) {
        let found = found(tool).with_context(|| format!("there is no `{tool}` on this machine"))?;
        symlink(found, folder.join(tool))?;
    }
    let chmod = folder.join("chmod");
    fs::write(&chmod, "#!/bin/sh\n")?;
    fs::set_permissions(&chmod, fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn found(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file())
}
