//! The client against libvirt itself, judged by `virsh`. libvirtd runs in a room of a scratch Debian root; the test
//! talks to its socket from outside, and `virsh` talks to it inside.

mod block;
mod connections;
mod console;
mod devices;
mod events;
mod host;
mod lifecycle;
mod resources;
mod room;
mod supervised;
mod unlike;
