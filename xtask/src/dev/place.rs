//! The folder that all of it lies in, and the ports. A folder that this command did not make is never emptied.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::taken;
use crate::failure::Failure;

/// Shows that a folder is one of this command's, and keeps two at a time from using it.
const MARK: &str = ".cairn-dev";

/// The folder.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    _lock: File,
}

/// Where the two serve, on the loopback address.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Dashboard and API.
    pub server: u16,
    /// The agent.
    pub agent: u16,
}

impl Place {
    /// Opens the folder, emptied if `fresh`.
    ///
    /// # Errors
    /// If it is somebody else's, or in use.
    pub fn open(root: &Path, fresh: bool) -> Result<Self> {
        let cannot = || format!("cannot use `{}`; see that it is writable", root.display());
        let mark = root.join(MARK);
        let strange = !mark.exists() && root.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if strange {
            let sentence =
                format!("`{}` is not empty and was not made by this command; name another", root.display());
            return Err(Failure::usage(sentence));
        }
        std::fs::create_dir_all(root).with_context(cannot)?;
        let lock = OpenOptions::new().create(true).append(true).open(&mark).with_context(cannot)?;
        if lock.try_lock().is_err() {
            let sentence = format!(
                "another `cargo xtask dev` uses `{}`; stop it, or name another with `--root`",
                root.display()
            );
            return Err(Failure::usage(sentence));
        }
        if fresh {
            for entry in root.read_dir().with_context(cannot)? {
                let path = entry?.path();
                if path != mark {
                    let gone = if path.is_dir() && !path.is_symlink() {
                        std::fs::remove_dir_all(&path)
                    } else {
                        std::fs::remove_file(&path)
                    };
                    gone.with_context(|| format!("cannot remove `{}`", path.display()))?;
                }
            }
        }
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// Writes both configuration files.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn configure(&self, ports: &Ports, dashboard: &Path) -> Result<()> {
        let folder = self.root.join("etc/cairn");
        std::fs::create_dir_all(&folder)?;
        let Ports { server, agent } = ports;
        let dashboard = toml::Value::String(dashboard.display().to_string());
        let head = "# Written by `cargo xtask dev` each time.\n";
        std::fs::write(
            folder.join("server.toml"),
            format!(
                "{head}listen = \"127.0.0.1:{server}\"\ndashboard = {dashboard}\nlocal_agent = \"127.0.0.1:{agent}\"\n"
            ),
        )?;
        std::fs::write(
            folder.join("agent.toml"),
            format!("{head}listen = \"127.0.0.1:{agent}\"\nhypervisor = \"simulated\"\n"),
        )?;
        Ok(())
    }

    fn password_file(&self) -> PathBuf {
        self.root.join("admin-password")
    }

    /// Keeps the password that was made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_password(&self, password: &str) -> Result<()> {
        let path = self.password_file();
        let open = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        let written = open.and_then(|mut file| writeln!(file, "{password}"));
        written.with_context(|| {
            format!("cannot keep the password in `{}`; begin anew with `--fresh`", path.display())
        })
    }

    /// The password, and where it lies.
    ///
    /// # Errors
    /// If it is not there.
    pub fn password(&self) -> Result<String> {
        let path = self.password_file();
        let password = std::fs::read_to_string(&path).with_context(|| {
            format!("the password is not in `{}` any more; begin anew with `--fresh`", path.display())
        })?;
        Ok(format!("{} (in {})", password.trim(), path.display()))
    }
}

impl Ports {
    /// The usual ports where they are free. `wanted` is the server's.
    ///
    /// # Errors
    /// If the port that is wanted is taken.
    pub fn choose(wanted: Option<u16>) -> Result<Self> {
        // Held until both are chosen, so that they differ.
        let server = match wanted {
            Some(port) => listen(port).map_err(|_| taken(port))?,
            None => listen(8443).or_else(|_| listen(0)).context("no port is free")?,
        };
        let agent = listen(7070).or_else(|_| listen(0)).context("no port is free")?;
        Ok(Self { server: server.local_addr()?.port(), agent: agent.local_addr()?.port() })
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("letter"), "dear").unwrap();
        let error = Place::open(folder.path(), true).unwrap_err().to_string();
        assert!(error.contains("was not made by this command"), "{error}");
        assert!(folder.path().join("letter").exists());
    }

    #[test]
    fn fresh_empties_it_and_two_at_a_time_do_not_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path(), false).unwrap();
        place.keep_password("secret").unwrap();
        assert!(place.password().unwrap().starts_with("secret (in "));
        let error = Place::open(folder.path(), true).unwrap_err().to_string();
        assert!(error.contains("another `cargo xtask dev`"), "{error}");
        drop(place);
        let kept = Place::open(folder.path(), false).unwrap();
        assert!(kept.password().is_ok());
        drop(kept);
        assert!(Place::open(folder.path(), true).unwrap().password().is_err());
    }

    #[test]
    fn a_wish_for_a_taken_port_is_refused_and_none_finds_two() {
        let busy = listen(0).unwrap();
        let port = busy.local_addr().unwrap().port();
        assert!(Ports::choose(Some(port)).unwrap_err().to_string().contains("`--port`"));
        let ports = Ports::choose(None).unwrap();
        assert_ne!(ports.server, ports.agent);
    }
}
