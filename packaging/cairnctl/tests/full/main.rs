//! What takes long, for `cargo xtask test --full` alone: `test = false` keeps it out of every other run, and
//! `--test full` puts it in.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod os_packages;
