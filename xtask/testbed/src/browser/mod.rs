//! A room with Chromium and chromedriver, tests that run in it, and (feature `webdriver`) a tab of the browser for them.

#[cfg(feature = "webdriver")]
#[allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
mod driver;
#[cfg(feature = "webdriver")]
#[allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
mod tab;

use crate::inside::{TestProgram, enter};
use crate::{CloneOptions, Mount, RootClone, Testbed};
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "webdriver")]
pub use tab::{Tab, until};

/// The driver in the room. It speaks the WebDriver protocol, and starts the browser itself.
pub const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// What the driver is to start the browser with in a room: it is the superuser's, and there are no graphics.
pub const CHROMIUM_ARGUMENTS: &[&str] =
    &["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

/// What a test finds in the room.
#[derive(Debug)]
pub struct Inside {
    /// File systems and folders of this machine.
    pub mounts: Vec<Mount>,
    /// Programs of this machine, in the room under the same paths, not to be written.
    pub executables: Vec<PathBuf>,
    /// How long the test may take; five minutes unless given.
    pub limit: Duration,
}

impl Default for Inside {
    fn default() -> Self {
        Self { mounts: Vec::new(), executables: Vec::new(), limit: Duration::from_secs(300) }
    }
}

/// Runs `test` in a room with Chromium, as the superuser, with nothing but a loopback device in the network. `name` is that of
/// the test function which calls this. All else is as in [`libvirt::inside`](crate::libvirt::inside()).
///
/// # Panics
/// When the test fails inside, takes too long, or the room cannot be made.
pub fn inside(name: &str, options: &Inside, test: impl FnOnce()) {
    enter(name, test, |program| outside(program, options));
}

fn outside(program: &TestProgram, options: &Inside) -> Result<()> {
    let root = Testbed::from_env()?.browser(&|line| eprintln!("{line}"))?;
    let clone = RootClone::new(&root, CloneOptions::default())?;
    let mut mounts = options.mounts.clone();
    mounts.extend(program.mounts(&options.executables)?);
    let room = clone.room(&mounts)?;
    program.run(&room, &clone, options.limit)
}
