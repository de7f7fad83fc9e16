//! The server from outside: what it makes, whom it lets in, what it serves, what its commands answer. All on the
//! loopback address and in folders of their own; nothing waits for a time, everything for an event.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod agent;
mod audit;
mod bootstrap;
mod cache;
mod data;
mod health;
mod host;
mod joining;
mod levels;
mod login;
mod lost_reply;
mod machine;
mod openapi;
mod packed;
mod pages;
mod process;
mod renewal;
mod resources;
mod settings;
mod support;
mod tasks;
mod tokens;
mod vms;
