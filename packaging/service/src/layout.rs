//! Where files lie on a host. Every path that a service reads or writes is made here, under one root; a program has
//! no other place for a path of its own.

use std::path::{Path, PathBuf};

/// The files of an installation under one root, `/` on a real host.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`. A relative root is taken from the working directory, so that every path is absolute.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// The operator's folder: configuration files and `tls/`.
    #[must_use]
    pub fn config_folder(&self) -> PathBuf {
        self.root.join("etc/cairn")
    }

    /// Configuration of the server.
    #[must_use]
    pub fn server_config(&self) -> PathBuf {
        self.config_folder().join("server.toml")
    }

    /// Configuration of the agent.
    #[must_use]
    pub fn agent_config(&self) -> PathBuf {
        self.config_folder().join("agent.toml")
    }

    /// Certificates and keys of this host.
    #[must_use]
    pub fn tls_folder(&self) -> PathBuf {
        self.config_folder().join("tls")
    }

    /// One file in [`Layout::tls_folder`].
    #[must_use]
    pub fn tls(&self, name: &str) -> PathBuf {
        self.tls_folder().join(name)
    }

    /// The control tool's record of what is installed.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.root.join("var/lib/cairn/receipt.json")
    }

    /// Where a path of the host lies below the root.
    #[must_use]
    pub fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Data of the server.
    #[must_use]
    pub fn server_data(&self) -> PathBuf {
        self.root.join("var/lib/cairn/server")
    }

    /// The administrator's credential: a name and a password hash.
    #[must_use]
    pub fn admin(&self) -> PathBuf {
        self.server_data().join("admin.json")
    }

    /// The server's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.server_data().join("cairn.db")
    }

    /// Data of the agent.
    #[must_use]
    pub fn agent_data(&self) -> PathBuf {
        self.root.join("var/lib/cairn/agent")
    }

    /// What the server ordered, and how it went: one file an operation.
    #[must_use]
    pub fn agent_operations(&self) -> PathBuf {
        self.agent_data().join("operations")
    }

    /// Where the agent notes in which folders it tries files: one file a folder, as long as it does.
    #[must_use]
    pub fn agent_probes(&self) -> PathBuf {
        self.agent_data().join("probes")
    }

    /// What guests write to their first serial lines.
    #[must_use]
    pub fn console_folder(&self) -> PathBuf {
        self.root.join("var/log/cairn/console")
    }

    /// What lives as long as the host runs: sockets.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        self.root.join("run/cairn")
    }

    /// The agent's socket for health questions from this host.
    #[must_use]
    pub fn agent_socket(&self) -> PathBuf {
        self.run_folder().join("agent.sock")
    }
}
