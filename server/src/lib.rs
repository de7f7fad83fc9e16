//! The management server: dashboard and API over TLS, and the authority that server and agents trust.
//!
//! `http/` decodes and encodes; below it nothing knows HTTP. What the public hears is `server-api`, what agents hear is
//! `agent-protocol`, what every service does is `packaging-service`.

pub mod about;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod error;
pub mod health;
pub mod http;
pub mod local_agent;
pub mod login;
pub mod run;
