//! A testbed: scratch Debian roots that are made once and cached, throw-away clones of them, and machines with
//! a real systemd and no network that are booted from such a clone.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use xtask_testbed::{Machine, MachineOptions, Testbed};
//! let testbed = Testbed::from_env()?;
//! let machine = Machine::boot(testbed.host(), MachineOptions::default())?;
//! machine.run(["systemctl", "is-system-running"])?.checked()?;
//! # Ok(()) }
//! ```
//!
//! What lives here: the roots and how they are built ([`prepare`], [`Testbed`]), clones and the namespaces
//! commands run in ([`RootClone`], [`Room`], [`Mount`]), booted machines ([`Machine`]), the same with a kernel and a clock of their
//! own ([`Vm`]), libvirt in a room and tests
//! that run beside it ([`libvirt`]), file systems made for a test ([`loopdisk`], and `fuse` behind a feature), the same with a browser ([`browser`]), guests for it ([`guest`], [`sequence`], [`LinuxGuest`]), and the comparison of two trees
//! ([`Listing`]). What does not: anything that knows Cairn's own programs; tests of the product stand in the
//! crates they test.
//!
//! How it holds together. Every clone has a *holder*: one process, the first of a process namespace, in a mount
//! namespace of its own, that lives as long as a pipe from the test is open. The overlay is mounted there and
//! nowhere else, and whatever runs in the clone runs below the holder. When the test drops the clone, panics or is
//! killed, the pipe closes, the holder ends, and the kernel takes processes and mounts with it. Only files and
//! empty control groups can outlive a killed test; the next one sweeps them away.

pub mod aptconf;
mod boot;
pub mod browser;
mod build;
mod cgroup;
mod clones;
mod files;
#[cfg(feature = "fuse")]
pub mod fuse;
pub mod guest;
mod holder;
mod inside;
mod invocation;
pub mod libvirt;
mod linux;
mod listing;
pub mod loopdisk;
mod machine;
mod mount;
mod needs;
mod overlay;
mod process;
mod procfs;
mod recipe;
mod room;
mod root;
pub mod sequence;
mod testbed;
mod vm;
mod walk;

pub use clones::{CloneOptions, RootClone, Upper};
pub use invocation::{Invocation, Output};
pub use linux::{LinuxGuest, LinuxOptions, Power, Write};
pub use listing::{Change, Entry, Kind, Listing};
pub use machine::{Machine, MachineOptions};
pub use mount::{Access, Bind, Device, Mount};
pub use recipe::Release;
pub use room::Room;
pub use root::Root;
pub use testbed::{ENV_CACHE, ENV_VIRT, LATER_VIRT, Testbed, prepare};
pub use vm::{Vm, VmOptions};
