//! A hook that sees every frame, for tests and traces: that between two moments nothing but keepalive travelled can
//! be shown only here. It sees no content.

use super::frame::{Header, MessageStatus, MessageType};
use super::procedure::{Procedure, Program};

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To libvirt.
    Out,
    /// From libvirt.
    In,
}

/// What is told of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenFrame {
    /// Which way it went.
    pub direction: Direction,
    /// Number of the program.
    pub program: u32,
    /// Number of the procedure within the program.
    pub procedure: i32,
    /// What it carries.
    pub kind: MessageType,
    /// Which call or stream it belongs to; 0 for events and keepalive.
    pub serial: u32,
    /// How it went.
    pub status: MessageStatus,
    /// Length of the body, in bytes.
    pub body_bytes: usize,
}

impl SeenFrame {
    pub(crate) fn new(direction: Direction, header: &Header, body_bytes: usize) -> Self {
        let Header { program, version: _, procedure, kind, serial, status } = *header;
        Self { direction, program, procedure, kind, serial, status, body_bytes }
    }

    /// The procedure, if it stands in our table.
    #[must_use]
    pub fn known(&self) -> Option<Procedure> {
        Procedure::find(self.program, self.procedure)
    }

    /// Whether it is a sign of life and nothing else.
    #[must_use]
    pub fn is_keepalive(&self) -> bool {
        self.program == Program::Keepalive.number()
    }
}

/// Sees every frame: outgoing ones before they are written, incoming ones before they are handled. A call is
/// therefore always seen before its reply.
pub trait FrameObserver: Send + Sync {
    /// Called from the connection's own tasks: it must not block.
    fn frame(&self, seen: SeenFrame);
}

impl<F: Fn(SeenFrame) + Send + Sync> FrameObserver for F {
    fn frame(&self, seen: SeenFrame) {
        self(seen);
    }
}
