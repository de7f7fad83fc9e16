//! Messages as they travel: frames, the table of procedures, and the hook that watches both. What a procedure's
//! arguments mean stands with the calls.

pub(crate) mod frame;
pub(crate) mod keepalive;
mod observer;
mod procedure;
pub(crate) mod reader;

pub use keepalive::Keepalive;
pub use observer::{Direction, FrameObserver, SeenFrame};
pub use procedure::{Procedure, Program};
pub(crate) use reader::FrameReader;
