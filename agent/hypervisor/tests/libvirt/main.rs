//! The hypervisor on libvirt and QEMU, in a room with both, with guests that run under TCG. `virsh`, the kernel and the
//! guests judge.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod contract;
mod direct_io;
mod file_systems;
mod follow;
mod guests;
mod linux;
mod live;
mod messages;
mod room;
mod settled;
mod taken_back;
mod volumes;
