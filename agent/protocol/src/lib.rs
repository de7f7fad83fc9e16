//! What server and agent say to each other: one table of calls ([`call`]), the envelope that each travels in
//! ([`envelope`]), and the types of each call's request and reply; and how a host joins ([`join`]).
//!
//! Not here: any input or output, any transport, and the types that server and agent think in. They convert.
//!
//! To change a call, change its type and its file under `golden/` together. A change that an agent or server of the
//! previous version would not understand needs a new [`VERSION`].

pub mod cache;
pub mod call;
pub mod envelope;
pub mod host;
pub mod join;
pub mod migration;
pub mod survey;
pub mod vm;
pub mod volume;

/// Version of the protocol. Both sides must speak the same one.
pub const VERSION: u32 = 3;

/// Common name in the certificate of the server, the only peer that an agent talks to.
pub const SERVER_NAME: &str = "cairn-server";
