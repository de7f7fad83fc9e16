//! How certificates that were given come into their place: all of them, whatever happens in between.
//!
//! ```text
//!   .joining/  written and synced --rename--> .joined/  --rename each--> agent.key, agent.pem, ca.pem
//!      (a kill: of no account)                  (a kill: settled by whoever looks next)
//! ```
//!
//! Whoever looks or changes holds a lock on the folder, so that nobody sees them half moved.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use packaging_service::files::{Access, NewFile, create_files, create_folder};
use packaging_service::layout::Layout;

use super::error::JoinError;

const STAGED: &str = ".joining";
const READY: &str = ".joined";

/// In the order in which they are moved.
const NAMES: [&str; 3] = ["ca.pem", "agent.key", "agent.pem"];

/// The folder of certificates, which nobody else changes meanwhile.
#[derive(Debug)]
pub struct Locked<'a> {
    layout: &'a Layout,
    folder: File,
}

/// What a host was given.
#[derive(Debug)]
pub struct Given {
    /// The authority, PEM.
    pub authority: String,
    /// The agent's key, PEM.
    pub key: String,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl<'a> Locked<'a> {
    /// Waits until nobody else changes the folder, and clears up behind an attempt that was killed.
    ///
    /// # Errors
    /// If the folder cannot be changed.
    pub fn wait(layout: &'a Layout) -> Result<Self, JoinError> {
        let locked = File::open(layout.tls_folder()).and_then(|folder| {
            folder.lock()?;
            let locked = Self { layout, folder };
            absent_is_fine(std::fs::remove_dir_all(layout.tls(STAGED)))?;
            locked.settle()?;
            Ok(locked)
        });
        locked.map_err(|cause| JoinError::Place { folder: layout.tls_folder(), cause })
    }

    /// Finishes what an attempt that was killed began. None if somebody changes the folder now.
    ///
    /// # Errors
    /// If the folder cannot be changed, and has to be.
    pub fn now(layout: &'a Layout) -> io::Result<Option<Self>> {
        let folder = File::open(layout.tls_folder())?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let locked = Self { layout, folder };
        locked.settle()?;
        Ok(Some(locked))
    }

    /// Puts what was given into its place, over what is there.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub fn put(&self, given: Given) -> Result<(), JoinError> {
        let staged = self.layout.tls(STAGED);
        create_folder(&staged, Access::Private)?;
        let new = |name: &str, content, access| NewFile { path: staged.join(name), content, access };
        create_files(&[
            new("ca.pem", given.authority, Access::Public),
            new("agent.key", given.key, Access::Private),
            new("agent.pem", given.certificate, Access::Public),
        ])?;
        let moved = std::fs::rename(&staged, self.layout.tls(READY))
            .and_then(|()| self.folder.sync_all())
            .and_then(|()| self.settle());
        moved.map_err(|cause| JoinError::Place { folder: self.layout.tls_folder(), cause })
    }

    /// Finishes what was begun.
    fn settle(&self) -> io::Result<()> {
        let ready = self.layout.tls(READY);
        if !ready.exists() {
            return Ok(());
        }
        for name in NAMES {
            absent_is_fine(rename(&ready, name, &self.layout.tls(name)))?;
        }
        self.folder.sync_all()?;
        std::fs::remove_dir(&ready)?;
        self.folder.sync_all()
    }
}

fn rename(from: &Path, name: &str, to: &Path) -> io::Result<()> {
    std::fs::rename(from.join(name), to)
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
