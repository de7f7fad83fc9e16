//! One connection at work: a task that writes, a task that reads, and what both and all callers share. Knows frames,
//! serials and streams; not what any procedure means, but for handing events on.

mod inbox;
mod read;
mod shared;
mod state;
mod write;

pub(crate) use inbox::Inbox;
pub(crate) use shared::{Limits, Shared};

use crate::error::End;
use crate::wire::{FrameObserver, FrameReader};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// How many frames may wait to be written. Callers beyond wait in turn.
const QUEUE: usize = 64;

/// How many signs of life and aborts may wait to be written, before everything else.
const URGENT: usize = 64;

/// A running session. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
}

impl Session {
    /// Starts both tasks on a connected socket.
    pub(crate) fn start(
        socket: UnixStream,
        limits: Limits,
        observer: Option<Arc<dyn FrameObserver>>,
    ) -> Self {
        let (from, to) = socket.into_split();
        let (queue, queued) = mpsc::channel(QUEUE);
        let (urgent, urgents) = mpsc::channel(URGENT);
        let shared = Arc::new(Shared::new(queue, urgent, limits, observer));
        tokio::spawn(write::run(Arc::clone(&shared), to, queued, urgents));
        tokio::spawn(read::run(Arc::clone(&shared), FrameReader::new(from)));
        Self { shared }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.end(End::Closed);
    }
}
