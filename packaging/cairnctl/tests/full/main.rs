//! What takes long, for `cargo xtask test --full` alone: `test = false` keeps it out of every other run, and
//! `--test full` puts it in.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod os_packages;
mod own_kernel;
#[path = "../support/own_mounts.rs"]
mod own_mounts;
#[path = "../support/pair.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod pair;
mod power_cut;
#[path = "../support/product.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod product;
#[path = "../transactions/stage.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod stage;
