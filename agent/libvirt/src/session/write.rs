//! The task that writes: whole frames, one after the other, urgent ones first.

use super::shared::Shared;
use crate::error::End;
use crate::wire::Direction;
use crate::wire::frame::{Frame, MessageType};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

/// How long the reader may take to come to the end, once the peer does not take anything any more.
const GRACE: Duration = Duration::from_secs(1);

/// What waits to be written.
pub(super) struct Inbound {
    pub(super) queued: mpsc::Receiver<Frame>,
    pub(super) urgents: mpsc::Receiver<Frame>,
    pub(super) aborted: mpsc::UnboundedReceiver<Frame>,
}

pub(super) async fn run(shared: Arc<Shared>, mut to: OwnedWriteHalf, from: Inbound) {
    let Inbound { mut queued, mut urgents, mut aborted } = from;
    loop {
        let frame = tokio::select! {
            biased;
            _ = shared.ended() => break,
            Some(frame) = urgents.recv() => frame,
            Some(frame) = aborted.recv() => frame,
            Some(frame) = queued.recv() => frame,
        };
        let bytes = frame.to_bytes();
        // Before it is written: afterwards its answer may have been seen already.
        shared.observe(Direction::Out, &frame);
        let is_call = frame.header.kind == MessageType::Call;
        if is_call {
            shared.sends_call();
        }
        // Only the end of the connection stops a frame half way.
        let written = tokio::select! {
            biased;
            _ = shared.ended() => {
                if is_call {
                    shared.call_is_over();
                }
                break;
            }
            written = to.write_all(&bytes) => written,
        };
        match written {
            Ok(()) => {}
            // The reader is about to see the same, and may still find replies that came before it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                if tokio::time::timeout(GRACE, shared.ended()).await.is_err() {
                    shared.end(End::ByPeer);
                }
                return;
            }
            Err(error) => return shared.end(End::Io(Arc::new(error))),
        }
    }
    // Dropping our half closes the connection for libvirt.
    shared.read_to_its_end().await;
}
