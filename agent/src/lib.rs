//! The agent: what runs on every host and does there what the server asks.
//!
//! `http/` decodes and encodes; below it nothing knows HTTP. What is said on the wire is `agent-protocol`, what is done
//! is `agent-hypervisor`, and `convert` stands between the two. What every service does is `packaging-service`.

pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod convert;
mod convert_cache;
mod convert_survey;
pub mod error;
pub mod facts;
pub mod health;
pub mod http;
pub mod inspect;
pub mod join;
pub mod link;
pub mod operations;
pub mod refusal;
pub mod renewal;
pub mod run;
pub mod watch;
