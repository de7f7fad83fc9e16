//! The bodies of requests, which must have come within a time, and those of replies, which know when they have been sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

use super::places::Busy;

/// The body of a request, as a service gets it.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    limit: Duration,
    ends: Pin<Box<Sleep>>,
}

/// Why there is no more of a request.
#[derive(Debug, Error)]
pub enum RequestBodyError {
    /// The connection.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The sender.
    #[error("the request did not come within {} ms", .0.as_millis())]
    Slow(Duration),
}

impl RequestBody {
    /// One that has `limit` to come.
    pub(super) fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, limit, ends: Box::pin(tokio::time::sleep(limit)) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        // Asked first: what comes byte by byte ends, too.
        if self.ends.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(RequestBodyError::Slow(self.limit))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a reply, while which is sent its connection is at work.
pub(super) struct ReplyBody<B> {
    body: B,
    _busy: Busy,
}

impl<B> ReplyBody<B> {
    pub(super) fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body + Unpin> Body for ReplyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
