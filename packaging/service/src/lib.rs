//! What makes a program a service on a host, the same for the server and the agent: where its files lie, how its
//! configuration is read, how it listens, stops and tells systemd so, which certificates it trusts, and the shape of
//! the answers that the control tool relies on (`packaging/control-contract.md`).
//!
//! Not here: anything that only one of the two does, any route, any HTTP framework, and the issuing of certificates.

pub mod client;
pub mod command;
pub mod config;
pub mod exit;
pub mod files;
pub mod layout;
pub mod listen;
pub mod log;
pub mod notify;
pub mod report;
pub mod serve;
pub mod stop;
pub mod tls;
pub mod together;
