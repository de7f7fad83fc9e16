//! The contract: what every hypervisor has to do, as cases that are run against each of them.
//!
//! A case is a function that gets a [`Room`] and panics when something is not as it should be. It has names, identities
//! and files of its own, so that all of them can share one libvirtd. What a case cannot do through the interface, such as
//! to lay down a disk that boots or to be somebody else, the [`Fixture`] does.
//!
//! ```text
//! agent_hypervisor::contract::run(Arc::new(fixture), "").await;
//! ```
//!
//! [`contract_cases`](crate::contract_cases) makes a test function of each instead.
//!
//! Not here: how fast things are, and the words of errors. Callers go by [`Kind`](crate::Kind), and so do cases, except that an
//! error has to name the file that it is about.

mod cache;
mod cases;
mod cdroms;
mod console;
mod define;
mod direct;
mod disks;
mod images;
mod live;
mod power;
mod room;
mod running;
mod settled;
mod told;
mod volumes;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Hypervisor;
use crate::simulated::{GuestKind, Outside};
use crate::spec::Format;

pub use cases::{Body, CASES, Case};
pub use room::Room;
pub use running::{run, run_case};

/// Name of a folder that the fixture's first folder does not have, and no case makes.
pub const MISSING_FOLDER: &str = "missing-folder";

/// What a case needs around the hypervisor.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The hypervisor, as by a connection that was just made. All of them reach the same domains and files.
    async fn hypervisor(&self) -> Arc<dyn Hypervisor>;

    /// A folder whose file system takes O_DIRECT.
    fn folder(&self) -> PathBuf;

    /// A folder whose file system does not.
    fn folder_without_direct_io(&self) -> PathBuf;

    /// Lays down a raw image, of at least 1 MiB, of a guest that boots by BIOS and writes a line to its first serial line each
    /// time it does.
    async fn guest(&self, path: &Path, guest: GuestKind);

    /// An image to import.
    async fn image(&self) -> ImageFile;

    /// Does what somebody else does on the host. Panics when it fails.
    async fn outside(&self, what: Outside);

    /// A bridge that network cards can be put on; None: there is none, and domains with cards are defined only.
    fn bridge(&self) -> Option<String>;

    /// Whether the guest of [`GuestKind::Answering`] lets go of a disk while it runs.
    fn lets_go(&self) -> bool;

    /// How long a guest takes to boot, or to turn itself off, at most.
    fn patience(&self) -> Duration;
}

/// An image that a fixture has ready.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub format: Format,
    /// What a guest would see, in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}
