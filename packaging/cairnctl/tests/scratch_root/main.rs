//! The packed file and the programs inside, installed below scratch roots with `--root DIR --no-start`: layout, modes,
//! repetition, removal, passwords, damage, rolling back, and the ways to start it. Nothing is started here; that is
//! `offline_host.rs`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod at_once;
mod delta;
mod extracted;
mod file_systems;
mod interrupted;
mod layout;
mod mended;
mod options;
#[path = "../support/pair.rs"]
mod pair;
mod passwords;
mod refused;
mod removed;
mod rolled_back;
mod signed;
mod site;
mod started_as;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
