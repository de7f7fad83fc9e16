//! Killed at every place, failed at every place: whatever happens to an installation, an upgrade, a way back or a removal,
//! the next run makes of it the state before or the state after, file by file. Programs are shell scripts here and services
//! are not started; what systemd adds is tried on a machine, in `offline_host`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod enumerated;
mod examined;
#[cfg(feature = "real-parts")]
mod full_disk;
mod operated;
#[cfg(feature = "real-parts")]
#[path = "../support/own_mounts.rs"]
mod own_mounts;
#[path = "../support/pair.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod pair;
#[path = "../support/product.rs"]
mod product;
mod recovery;
mod refused;
mod restored;
mod stage;
mod upgraded;
