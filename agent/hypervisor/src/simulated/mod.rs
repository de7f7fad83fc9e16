//! The simulated twin: a hypervisor in memory, for tests of what stands above one and for trying Cairn where there is no
//! libvirt. It behaves as libvirt and QEMU do as far as the contract goes, the same each time: no clock, no chance.
//!
//! A test holds a [`Control`] beside it: through it calls are made to fail, held up, or found done behind the agent's back.
//!
//! Not here: processors, networks, bytes on disks. A guest is a [`GuestKind`], a volume a line in a table.

mod control;
mod domains;
mod file;
mod point;
mod storage;
mod vm;
mod world;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

pub use control::{Control, Outside};
pub use file::{File, GuestKind};
pub use point::{Call, Hold, Moment};

use world::World;

/// How many changes a listener may be late by before it is told to list all domains.
const CHANGES: usize = 1024;

/// A hypervisor in memory. Clones are the same one.
#[derive(Clone)]
pub struct Simulated {
    world: Arc<Mutex<World>>,
    real_files: bool,
}

impl Simulated {
    /// A host without domains. Every folder is there and takes O_DIRECT, and there is room.
    #[must_use]
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(CHANGES);
        Self { world: Arc::new(Mutex::new(World::new(changes))), real_files: false }
    }

    /// Whether an image that was not placed by [`Control::place`] is imported from the file system of this machine. It is read,
    /// never copied.
    #[must_use]
    pub fn real_files(mut self, real_files: bool) -> Self {
        self.real_files = real_files;
        self
    }

    /// The strings that it hangs on.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { twin: self.clone() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A test that panicked elsewhere says more than a poisoned lock would.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("real_files", &self.real_files).finish_non_exhaustive()
    }
}
