//! Walking a tree and describing each path. What a listing is, and how two differ, is in `listing`.

use crate::listing::{Entry, Kind};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Every path below `root`, by its path in the tree, without what is in `ignore` and on other file systems.
pub(crate) fn entries(root: &Path, ignore: &[&str]) -> Result<BTreeMap<PathBuf, Entry>> {
    // The slash matters where the root is a link, such as /proc/1/root.
    let device = fs::metadata(root.join("")).map(|found| found.dev());
    let device = device.with_context(|| format!("cannot look at `{}`", root.display()))?;
    let mut walk = Walk { root, ignore, device, found: BTreeMap::new() };
    walk.folder(Path::new("/"))?;
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a [&'a str],
    device: u64,
    found: BTreeMap<PathBuf, Entry>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let real = self.real(folder);
        let entries = match fs::read_dir(&real) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.with_context(|| format!("cannot list `{}`", real.display()))?,
        };
        for entry in entries {
            let name = entry.with_context(|| format!("cannot list `{}`", real.display()))?.file_name();
            let path = folder.join(name);
            if self.ignore.iter().any(|ignored| path == Path::new(ignored)) {
                continue;
            }
            let real = self.real(&path);
            match describe(&real) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                described => {
                    let (entry, device) =
                        described.with_context(|| format!("cannot read `{}`", real.display()))?;
                    let enter = entry.kind == Kind::Folder && device == self.device;
                    self.found.insert(path.clone(), entry);
                    if enter {
                        self.folder(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn describe(path: &Path) -> io::Result<(Entry, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    let entry = Entry {
        kind: kind(path, &metadata)?,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
    };
    Ok((entry, metadata.dev()))
}

fn kind(path: &Path, metadata: &Metadata) -> io::Result<Kind> {
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link { target: fs::read_link(path)? }
    } else if kind.is_file() {
        Kind::File { size_bytes: metadata.len(), sha256: sha256(path)? }
    } else if kind.is_fifo() {
        Kind::Special("pipe")
    } else if kind.is_socket() {
        Kind::Special("socket")
    } else {
        Kind::Special("device")
    })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
