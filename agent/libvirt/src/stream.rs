//! A stream: bytes both ways within a connection (libvirt's page "libvirt RPC infrastructure", "streams").

use crate::connection::Connection;
use crate::error::Error;
use crate::session::{Inbox, Shared};
use crate::wire::Procedure;
use crate::wire::frame::{Frame, Header, MessageStatus, MessageType};
use std::sync::Arc;

/// The most that one frame of a stream carries, in bytes: what every libvirt takes
/// (`VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX`).
const CHUNK_BYTES: usize = 262_120;

/// An open stream. Reading and writing may go on at the same time. Dropping it aborts it.
#[derive(Debug)]
pub struct Stream {
    /// It lives as long as its streams.
    _connection: Connection,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    procedure: Procedure,
    serial: u32,
}

impl Stream {
    pub(crate) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        inbox: Arc<Inbox>,
        procedure: Procedure,
        serial: u32,
    ) -> Self {
        Self { _connection: connection, shared, inbox, procedure, serial }
    }

    /// Bytes that have come, at least one and at most `max`, waited for. None when there are no more to come. A `max` of 0
    /// takes nothing, but waits all the same.
    ///
    /// # Errors
    /// Fails when libvirt failed the stream, when the connection ended, and when more came than
    /// [`Options::stream_bytes`](crate::Options::stream_bytes) while nobody read. Cancel safe.
    pub async fn read(&self, max: usize) -> Result<Option<Vec<u8>>, Error> {
        self.inbox.read(max).await
    }

    /// Sends bytes. Given up half way, it has sent some of them.
    ///
    /// libvirt keeps what the other side does not take, and counts each frame (256 KiB at most) among the requests of this
    /// connection: beyond its `max_client_requests` it stops reading from it, sees no sign of life any more and ends it.
    /// Write to a guest that may not read in small pieces, and each when it has answered the one before.
    ///
    /// # Errors
    /// [`Error::StreamOver`] when the stream is over, or why it failed; [`Error::Ended`] when the connection ended.
    pub async fn write(&self, data: &[u8]) -> Result<(), Error> {
        for chunk in data.chunks(CHUNK_BYTES) {
            match self.inbox.over_now() {
                Some(Ok(())) => return Err(Error::StreamOver),
                Some(Err(error)) => return Err(error),
                None => self.send(MessageStatus::Continue, chunk).await?,
            }
        }
        Ok(())
    }

    /// Ends the stream in order: all that was written has arrived when this returns. Given up half way, it is aborted.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub async fn finish(self) -> Result<(), Error> {
        if self.inbox.over_now().is_none() {
            self.send(MessageStatus::Ok, &[]).await?;
        }
        self.inbox.over().await
    }

    /// Ends the stream at once.
    pub fn abort(self) {
        drop(self);
    }

    fn header(&self, status: MessageStatus) -> Header {
        Header::new(self.procedure, MessageType::Stream, self.serial, status)
    }

    async fn send(&self, status: MessageStatus, data: &[u8]) -> Result<(), Error> {
        let frame = Frame { header: self.header(status), body: data.to_vec() };
        self.shared.send(frame).await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.abort_stream(self.header(MessageStatus::Error), &self.inbox);
    }
}
