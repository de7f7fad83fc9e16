//! What a tree consists of, and how two such lists differ: "uninstalling leaves nothing", as a value.

use crate::walk;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
        walk::entries(root, ignore).map(Self)
    }

    /// The paths and what stands there, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// What has changed from this listing to `later`, by path.
    pub fn changes(&self, later: &Self) -> Vec<Change> {
        let paths: BTreeSet<&PathBuf> = self.0.keys().chain(later.0.keys()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
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
        // Whatever the umask.
        for file in ["etc/text", "opt/gone"] {
            fs::set_permissions(at(file), fs::Permissions::from_mode(0o644)).expect("mode");
        }
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
