//! A stream: bytes both ways within a connection (libvirt's page "libvirt RPC infrastructure", "streams").

use crate::connection::Connection;
use crate::error::Error;
use crate::session::Inbox;
use crate::wire::Procedure;
use crate::wire::frame::{Frame, Header, MessageStatus, MessageType};
use std::sync::Arc;

/// The most that one frame of a stream carries, in bytes: what every libvirt takes
/// (`VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX`).
const CHUNK_BYTES: usize = 262_120;

/// An open stream. Reading and writing may go on at the same time. Dropping it aborts it.
#[derive(Debug)]
pub struct Stream {
    connection: Connection,
    inbox: Arc<Inbox>,
    procedure: Procedure,
    serial: u32,
    finished: bool,
}

impl Stream {
    pub(crate) fn new(connection: Connection, inbox: Arc<Inbox>, procedure: Procedure, serial: u32) -> Self {
        Self { connection, inbox, procedure, serial, finished: false }
    }

    /// Bytes that have come, at least one and at most `max`, waited for. None when there are no more to come.
    ///
    /// Fails when libvirt failed the stream, when the connection ended, and when more came than
    /// [`Options::stream_bytes`](crate::Options::stream_bytes) while nobody read. Cancel safe.
    pub async fn read(&self, max: usize) -> Result<Option<Vec<u8>>, Error> {
        self.inbox.read(max).await
    }

    /// Sends bytes. Given up half way, it has sent some of them.
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

    /// Ends the stream in order: all that was written has arrived when this returns.
    pub async fn finish(mut self) -> Result<(), Error> {
        if self.inbox.over_now().is_none() {
            self.send(MessageStatus::Ok, &[]).await?;
        }
        self.finished = true;
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
        self.connection.inner.session.shared.send(frame).await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.finished && self.inbox.over_now().is_none() {
            self.connection.inner.session.shared.abort_stream(self.header(MessageStatus::Error), &self.inbox);
        }
    }
}
