//! The agent from outside: whom it lets in, how it joins, what its commands answer. All on the loopback address and in
//! folders of their own; nothing waits for a time, everything for an event.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod joining;
mod process;
mod refusal;
mod support;
