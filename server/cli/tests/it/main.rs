//! The command line against a server and an agent in this process, whose virtual machines are simulated.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod asking;
mod hosts;
mod login;
mod scene;
