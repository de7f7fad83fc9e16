//! The task that writes: whole frames, one after the other, urgent ones first.

use super::shared::Shared;
use crate::error::End;
use crate::wire::Direction;
use crate::wire::frame::Frame;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

pub(super) async fn run(
    shared: Arc<Shared>,
    mut to: OwnedWriteHalf,
    mut queued: mpsc::Receiver<Frame>,
    mut urgent: mpsc::Receiver<Frame>,
) {
    loop {
        let frame = tokio::select! {
            biased;
            _ = shared.ended() => return,
            Some(frame) = urgent.recv() => frame,
            Some(frame) = queued.recv() => frame,
        };
        let bytes = frame.to_bytes();
        // Only the end of the connection stops a frame half way.
        let written = tokio::select! {
            biased;
            _ = shared.ended() => return,
            written = to.write_all(&bytes) => written,
        };
        match written {
            Ok(()) => shared.observe(Direction::Out, &frame),
            // The reader is about to see the same, and has what came before it.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return,
            Err(error) => return shared.end(End::Io(Arc::new(error))),
        }
    }
}
