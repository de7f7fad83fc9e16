//! Frames off a byte stream. Waiting for one can be given up at any time without losing a byte.

use super::frame::{Frame, FrameError};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once. A frame that claims to be longer makes the buffer grow only as its bytes arrive.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why there is no next frame.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error("the stream ended")]
    End,
    #[error("the stream ended within a frame")]
    EndWithin,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Reads frames.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame starts.
    start: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), start: 0 }
    }

    /// The next frame. Cancel safe: what has been read stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Frame, ReadError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.is_empty() {
                // A frame of 32 MiB does not cost its memory for ever.
                self.buffer.shrink_to(CHUNK_BYTES);
            }
            self.buffer.reserve(CHUNK_BYTES);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Err(if self.buffer.is_empty() { ReadError::End } else { ReadError::EndWithin });
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Frame>, ReadError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some(word) = rest.first_chunk::<4>() else { return Ok(None) };
        let len = Frame::checked_len(*word)?;
        let Some(bytes) = rest.get(4..len) else { return Ok(None) };
        let frame = Frame::from_bytes(bytes)?;
        self.start += len;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::keepalive;
    use crate::wire::procedure::Procedure;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn frames_come_whole_however_their_bytes_do() {
        let (mut to, from) = tokio::io::duplex(7);
        let ping = keepalive::frame(Procedure::KeepalivePing);
        let pong = keepalive::frame(Procedure::KeepalivePong);
        let bytes = [ping.to_bytes(), pong.to_bytes(), ping.to_bytes()[..9].to_vec()].concat();
        let sender = tokio::spawn(async move { to.write_all(&bytes).await });
        let mut reader = FrameReader::new(from);
        assert_eq!(reader.next().await.unwrap(), ping);
        assert_eq!(reader.next().await.unwrap(), pong);
        assert!(matches!(reader.next().await, Err(ReadError::EndWithin)));
        sender.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_long_frame_is_not_allocated_before_it_arrives() {
        let (mut to, from) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(from);
        to.write_all(&(32u32 << 20).to_be_bytes()).await.unwrap();
        drop(to);
        assert!(matches!(reader.next().await, Err(ReadError::EndWithin)));
        assert!(reader.buffer.capacity() < 4 * CHUNK_BYTES);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_at_its_first_word() {
        let mut reader = FrameReader::new(&b"HTTP/1.1 400 Bad Request\r\n"[..]);
        let bytes = u32::from_be_bytes(*b"HTTP");
        assert!(
            matches!(reader.next().await, Err(ReadError::Frame(FrameError::Length { bytes: b })) if b == bytes)
        );
        assert!(matches!(FrameReader::new(&b""[..]).next().await, Err(ReadError::End)));
    }
}
