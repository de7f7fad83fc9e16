//! The calls, as methods of [`Connection`](crate::Connection), by what they are about. Each is one line of layout: the
//! fields of its arguments in order, and the type of its reply. What a call means, and what its flags do, is written
//! on the page of libvirt's API of that name ("Module libvirt-domain", "Module libvirt-host").
//!
//! # Errors
//! All of them fail alike, by what became of the call ([`Error`](crate::Error)). Not sent, nothing done: `Arguments`,
//! `NotSent`, `Busy`. Done, or refused by whoever did it: `Remote` from libvirt, `Qmp` from QEMU, `Reply` and `Json` where
//! the answer cannot be read. Not known whether it was done: `Ended`. A call that changes nothing may also end by
//! `NoAnswer`, after [`Options::answer_timeout`](crate::Options::answer_timeout); one that changes something is waited for
//! as long as it takes, since giving it up would not undo it. A call of an older libvirt that lacks it is `Remote` too.

mod block;
mod console;
mod devices;
mod domains;
mod host;
mod interfaces;
mod lifecycle;
mod memory;
mod messages;
mod qemu;
mod reason;
mod state;
mod stats;

pub use block::{BlockInfo, BlockResizeFlags, BlockStats};
pub use console::{ConsoleFlags, Keycodes};
pub use devices::DeviceFlags;
pub use domains::{DefineFlags, ListFlags, UndefineFlags, XmlFlags};
pub use host::{DomainCapabilities, NodeInfo, Version};
pub use interfaces::{AddressSource, Interface, InterfaceAddress, InterfaceStats};
pub use lifecycle::{CreateFlags, DestroyFlags, RebootFlags, ShutdownFlags};
pub use memory::{AffectFlags, MemoryFlags, MemoryStatistic, MemoryStatisticTag, VcpuFlags};
pub use messages::MessageFlags;
pub use qemu::AgentTimeout;
pub use reason::{CrashedReason, PausedReason, RunningReason, ShutdownReason, ShutoffReason};
pub use state::{DomainInfo, DomainState, StateNumber};
pub use stats::{DomainStats, StatsGroups};
