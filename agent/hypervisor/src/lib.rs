//! Virtual machines and their volumes on one host: on libvirt and QEMU, or simulated.
//!
//! Two traits say what can be done, [`Domains`] and [`Storage`]. Words are libvirt's: a domain is a virtual machine, it is
//! defined, started, destroyed (its power cut) and undefined. What a domain is made of stands in [`spec`], what it is
//! like at the moment in [`state`], what may be done to it when in [`lifecycle`], what can be asked for at all in [`check`], and in
//! which mode files are opened in [`cache`].
//!
//! Not here: the network, certificates, operations and their ids, and what the server calls things. The agent converts.

pub mod accel;
pub mod cache;
mod chain;
pub mod check;
#[cfg(feature = "contract")]
pub mod contract;
pub mod domain;
pub mod error;
mod image;
pub mod interface;
pub mod lesson;
pub mod libvirt;
pub mod lifecycle;
pub mod migration;
mod mounts;
pub mod simulated;
pub mod spec;
pub mod state;
pub mod storage;
pub mod survey;

pub use error::{Error, Kind};
pub use interface::{Attempt, Domains, Hypervisor, Storage};
pub use simulated::Simulated;
