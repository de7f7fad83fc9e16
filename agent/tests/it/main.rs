//! The agent from outside: whom it lets in, how it joins, what it does and remembers, what its commands answer. All on the loopback address and in
//! folders of their own; nothing waits for a time, everything for an event.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod calls;
#[cfg(feature = "real-parts")]
mod cut;
#[cfg(feature = "real-parts")]
mod cut_files;
#[cfg(feature = "real-parts")]
mod cut_orders;
#[cfg(feature = "real-parts")]
mod cut_probe;
#[cfg(feature = "real-parts")]
mod cut_running;
mod door;
#[cfg(feature = "real-parts")]
mod full;
mod joining;
mod killed;
mod operations;
mod process;
#[cfg(feature = "real-parts")]
mod real;
mod refusal;
mod renewal;
mod support;
mod token;
mod watching;
mod wire;
