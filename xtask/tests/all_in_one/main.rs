//! `cargo xtask all-in-one` as its users know it: the real program builds packages from repositories that each test makes,
//! and what it packed is read back.
//!
//! All tests share one cache folder, so that the helper of the running tree is compiled once; a test takes a cache of its
//! own only where the cache is what it is about.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

mod bench;
mod bundles;
mod cached;
mod concurrent;
mod delta;
mod dirty_toolchain;
mod exact_refs;
mod journal;
mod keys;
mod names;
mod offline;
mod os;
mod pinned;
mod pins;
mod portable;
mod recipes;
mod refused_manifests;
mod refused_options;
mod releases;
mod reproducible;
mod same_bytes;
mod signed;
mod stamps;
mod supply;
mod surroundings;
mod verified;
mod worktrees;
