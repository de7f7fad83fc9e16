//! What a tree consists of, and how two such lists differ: "uninstalling leaves nothing", as a value.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File {
        /// Its length, in bytes.
        size_bytes: u64,
        /// The SHA-256 of its content, in lower-case hex.
        sha256: String,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link {
        /// Where it points, as written.
        target: PathBuf,
    },
    /// A device, pipe or socket.
    Special(&'static str),
}

/// One path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What stands there.
    pub kind: Kind,
    /// The permission bits, with set-user-id and the like; 0o7777 at most.
    pub mode: u32,
    /// The numbers of the user and the group it belongs to.
    pub owner: (u32, u32),
}

/// The paths of a tree, sorted, each absolute in the tree (`/etc/hosts`), without the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<PathBuf, Entry>);

impl Listing {
    /// Lists the tree at `root`. What is in `ignore` (`/run`, `/var/log/journal`) is left out with all below it, and
    /// folders that are file systems of their own, such as /proc, are listed but not entered. Times are not
    /// compared, nor are they read. A file that vanishes meanwhile is left out.
    pub fn of(root: &Path, ignore: &[&str]) -> Result<Self> {
        // The slash matters where the root is a link, such as /proc/1/root.
        let device = fs::metadata(root.join("")).map(|found| found.dev());
        let device = device.with_context(|| format!("cannot look at `{}`", root.display()))?;
        let mut walk = Walk { root, ignore, device, found: BTreeMap::new() };
        walk.folder(Path::new("/"))?;
        Ok(Self(walk.found))
    }

    /// The paths and what stands there, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// What has changed from this listing to `later`, by path.
    pub fn changes(&self, later: &Self) -> Vec<Change> {
        let paths: std::collections::BTreeSet<&PathBuf> = self.0.keys().chain(later.0.keys()).collect();
        let change = |path: &PathBuf| match (self.0.get(path), later.0.get(path)) {
            (Some(old), Some(new)) if old != new => {
                Some(Change::Changed(path.clone(), old.clone(), new.clone()))
            }
            (Some(old), None) => Some(Change::Gone(path.clone(), old.clone())),
            (None, Some(new)) => Some(Change::New(path.clone(), new.clone())),
            (Some(_), Some(_)) | (None, None) => None,
        };
        paths.into_iter().filter_map(change).collect()
    }

    /// The changes as text, one on a line; empty when there are none.
    pub fn diff(&self, later: &Self) -> String {
        self.changes(later).iter().map(|change| format!("{change}\n")).collect()
    }
}

/// A difference between two listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only in the later one.
    New(PathBuf, Entry),
    /// Only in the earlier one.
    Gone(PathBuf, Entry),
    /// In both, not alike: the earlier entry, then the later.
    Changed(PathBuf, Entry, Entry),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(path, entry) => write!(f, "+ {}  {entry}", path.display()),
            Self::Gone(path, entry) => write!(f, "- {}  {entry}", path.display()),
            Self::Changed(path, old, new) => write!(f, "~ {}  {old}  ->  {new}", path.display()),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, group) = self.owner;
        match &self.kind {
            Kind::File { size_bytes, sha256 } => {
                write!(f, "file {:04o} {user}:{group} {size_bytes} {}", self.mode, &sha256[..12])
            }
            Kind::Folder => write!(f, "folder {:04o} {user}:{group}", self.mode),
            Kind::Link { target } => write!(f, "link {user}:{group} to {}", target.display()),
            Kind::Special(what) => write!(f, "{what} {:04o} {user}:{group}", self.mode),
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(path, entry)| writeln!(f, "{}  {entry}", path.display()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_diff_says_what_came_went_and_changed_and_leaves_out_what_is_ignored() {
        let dir = tempfile::tempdir().expect("folder");
        let at = |name: &str| dir.path().join(name);
        for folder in ["etc", "run/deep", "opt"] {
            fs::create_dir_all(at(folder)).expect("folder");
        }
        fs::write(at("etc/same"), "same").expect("file");
        fs::write(at("etc/text"), "old").expect("file");
        fs::write(at("opt/gone"), "").expect("file");
        symlink("/etc/same", at("etc/link")).expect("link");
        let before = Listing::of(dir.path(), &["/run"]).expect("listing");
        assert_eq!(before.diff(&before), "");
        assert_eq!(before.entries().count(), 6);

        fs::write(at("etc/text"), "new").expect("file");
        fs::remove_file(at("opt/gone")).expect("gone");
        fs::write(at("run/deep/noise"), "x").expect("file");
        fs::create_dir(at("opt/new")).expect("folder");
        fs::set_permissions(at("opt/new"), fs::Permissions::from_mode(0o700)).expect("mode");
        let diff = before.diff(&Listing::of(dir.path(), &["/run"]).expect("listing"));
        let lines: Vec<&str> = diff.lines().collect();
        assert_eq!(lines.len(), 3, "{diff}");
        assert!(lines[0].starts_with("~ /etc/text  file 0644 "), "{diff}");
        assert!(lines[1].starts_with("- /opt/gone  file 0644 ") && lines[1].ends_with(" 0 e3b0c44298fc"));
        assert!(lines[2].starts_with("+ /opt/new  folder 0700 "), "{diff}");
    }
}
