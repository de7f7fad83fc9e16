//! One connection at work: a task that writes, a task that reads, and what both and all callers share. Knows frames,
//! serials and streams; not what any procedure means, but for handing events on.
//!
//! Where we end a connection, nobody waits, but its socket stays until libvirt has answered what it was sent. A worker of
//! libvirt 9.0 that finds nobody to answer cleans up after the client, as its main loop does when the socket closes, and
//! where both do so at once, the daemon crashes (seen on Debian 12, and read in `remoteClientFreePrivateCallbacks`, which takes
//! no lock there; later sources take one).

mod inbox;
mod read;
mod shared;
mod state;
mod write;

pub(crate) use inbox::Inbox;
use shared::Outbound;
pub(crate) use shared::{Limits, Shared};

use crate::error::{End, Error, millis};
use crate::wire::{FrameObserver, FrameReader, Procedure};
use crate::xdr::{Decode, Encode};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// How many frames may wait to be written. Callers beyond wait in turn.
const QUEUE: usize = 64;

/// How many signs of life may wait to be written, before everything else.
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
        // Bounded by the streams: each is aborted once.
        let (aborts, aborted) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(Outbound { queue, urgent, aborts }, limits, observer));
        let inbound = write::Inbound { queued, urgents, aborted };
        tokio::spawn(write::run(Arc::clone(&shared), to, inbound));
        tokio::spawn(read::run(Arc::clone(&shared), FrameReader::new(from)));
        Self { shared }
    }

    /// Does a call: sends its arguments, waits for its reply, for `limit` at most.
    pub(crate) async fn call<R: Decode>(
        &self,
        procedure: Procedure,
        arguments: impl Encode,
        limit: Option<Duration>,
    ) -> Result<R, Error> {
        let body = arguments.to_bytes().map_err(|why| Error::Arguments { procedure, why })?;
        let (_, reply) = self.shared.call(procedure, body, limit, None).await?;
        R::from_bytes(&reply).map_err(|why| Error::Reply { procedure, why })
    }

    /// Takes leave once all calls are answered, and waits until libvirt has closed the connection.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let procedure = Procedure::ConnectClose;
        let limit = self.shared.limits.answer_timeout;
        self.shared.leave();
        let left = async {
            self.shared.all_answered().await;
            match self.call(procedure, (), None).await {
                Ok(()) => {
                    self.shared.ended().await;
                    Ok(())
                }
                // It closes at once, and may be faster than its reply.
                Err(Error::Ended(End::Closed) | Error::NotSent { why: End::Closed }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let silent = Err(Error::NoAnswer { procedure, waited_ms: millis(limit) });
        tokio::time::timeout(limit, left).await.unwrap_or(silent)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.end(End::Closed);
    }
}
