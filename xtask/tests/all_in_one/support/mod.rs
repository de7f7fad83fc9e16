//! What the tests stand on: repositories to build from, calls of the real program, and packed files to look into.

mod gate;
mod keys;
mod listing;
pub mod mirror;
mod packed;
pub mod project;
mod repository;
mod server;
mod toolchain;
mod world;
mod xtask;

pub use gate::Gate;
pub use keys::Keys;
pub use listing::listing;
pub use packed::Packed;
pub use repository::Repository;
pub use server::{Reply, Server};
pub use toolchain::Toolchain;
pub use world::{MANIFEST, World, in_shared_cache, names_beside, shared_cache};
pub use xtask::{Ran, Xtask};
