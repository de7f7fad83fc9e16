//! Public request and reply types: what the dashboard, the command line and other programs say to the server and hear
//! from it. JSON, one file per resource.
//!
//! A resource has an id that never changes and a name that is unique among its kind; wherever a request names one,
//! either will do. Times are milliseconds since 1970 in UTC, sizes are bytes. Requests with unknown fields are
//! refused.
//!
//! Work that takes long is answered at once with a [`task::Task`]. A POST that carries the header [`IDEMPOTENCY_KEY`]
//! may be sent again: the repeat gets the answer of the first.
//!
//! Not here: any input or output, any transport, and the types that the server thinks in. It converts.

pub mod about;
pub mod audit;
pub mod cache;
pub mod config;
pub mod error;
pub mod event;
pub mod health;
pub mod host;
pub mod image;
pub mod session;
pub mod storage;
pub mod task;
pub mod token;
pub mod vm;
pub mod volume;
mod words;

/// Header of a POST that may be repeated: 1 to 128 printable characters without spaces, chosen by the client.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
