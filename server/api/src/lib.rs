//! Public request and reply types: what the dashboard, the command line and other programs say to the server and hear
//! from it. JSON, one file per resource.
//!
//! Not here: any input or output, any transport, and the types that the server thinks in. It converts.

pub mod about;
pub mod error;
pub mod health;
pub mod host;
pub mod session;
