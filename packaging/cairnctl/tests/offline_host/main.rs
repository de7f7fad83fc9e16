//! The packed file on a host without a network: a Debian machine, booted with its own systemd, in which loopback is the
//! only device. What is not about services is in `scratch_root`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod host;
mod https;
mod life;
mod machines;
mod operated;
mod pair;
mod preflight;
mod readme;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod unlucky;
mod user;
