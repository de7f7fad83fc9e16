//! The client against a daemon in this process, which does what libvirt hopefully never does: it answers late, twice,
//! out of order, with nonsense, or not at all.

mod calls;
mod connecting;
mod daemon;
mod ends;
mod events;
mod streams;
mod supervised;
