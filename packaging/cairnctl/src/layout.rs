//! Where things lie on a host. Every path of Cairn's is made here, below one root, so that `--root` moves all of it.

use std::path::{Path, PathBuf};

/// The paths of one installation.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, `/` on a host.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root that everything lies below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is the running host itself.
    pub fn is_host(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Programs of all versions.
    pub fn prefix(&self) -> PathBuf {
        self.root.join("opt/cairn")
    }

    /// One folder for each version, read-only.
    pub fn versions(&self) -> PathBuf {
        self.prefix().join("versions")
    }

    /// The symbolic link to the version that runs.
    pub fn current(&self) -> PathBuf {
        self.prefix().join("current")
    }

    /// Configuration, the operator's.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/cairn")
    }

    /// Public keys, one file each: whose files are installed here.
    pub fn trusted(&self) -> PathBuf {
        self.configuration().join("trusted")
    }

    /// Data.
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/cairn")
    }

    /// What was installed, and what a removal has to undo.
    pub fn receipt(&self) -> PathBuf {
        self.state().join("receipt.json")
    }

    /// The password that was made for the administrator, if it could not be shown.
    pub fn first_password(&self) -> PathBuf {
        self.state().join("admin-password")
    }

    /// The archives that versions were installed from.
    pub fn archives(&self) -> PathBuf {
        self.state().join("archives")
    }

    /// Backups of the server's data.
    pub fn backups(&self) -> PathBuf {
        self.state().join("backups")
    }

    /// Where images lie unless a storage says otherwise.
    pub fn images(&self) -> PathBuf {
        self.state().join("images")
    }

    /// Where volumes lie unless a storage says otherwise.
    pub fn volumes(&self) -> PathBuf {
        self.state().join("volumes")
    }

    /// Folders in which files are put in place by rename.
    pub fn written(&self) -> [PathBuf; 7] {
        [
            self.prefix(),
            self.versions(),
            self.configuration(),
            self.trusted(),
            self.state(),
            self.archives(),
            self.units(),
        ]
    }

    /// Logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("var/log/cairn")
    }

    /// Sockets of the running services.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("run/cairn")
    }

    /// systemd's folder for units that the administrator installs.
    pub fn units(&self) -> PathBuf {
        self.root.join("etc/systemd/system")
    }
}
