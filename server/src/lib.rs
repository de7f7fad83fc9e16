//! The management server: dashboard and API over TLS, and the authority that server and agents trust.
//!
//! `http/` decodes and encodes; below it nothing knows HTTP. `cloud/` is what can be asked of it, `task/` does what
//! takes long, `agents/` talks to hosts, `store/` remembers. What the public hears is `server-api`, what agents hear
//! is `agent-protocol`, what every service does is `packaging-service`.

pub mod about;
pub mod agents;
pub mod bootstrap;
pub mod cache;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod dashboard;
pub mod data;
pub mod error;
pub mod health;
pub mod http;
pub mod local_agent;
pub mod login;
pub mod packed;
pub mod renewal;
pub mod run;
pub mod secret;
pub mod setting;
pub mod store;
pub mod task;
