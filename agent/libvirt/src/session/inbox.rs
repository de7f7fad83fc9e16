//! What a stream has brought and nobody has read yet: bounded, so that a reader who sleeps costs no more than that,
//! and never waited for, so that he holds up nobody else.

use crate::error::Error;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    data: VecDeque<u8>,
    /// libvirt has sent all there is to read; the stream itself may go on.
    eof: bool,
    /// Nothing can come any more: finished, or why not.
    over: Option<Result<(), Error>>,
}

impl Inbox {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), limit_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has arrived; nothing at all means that all has. False when it is too much, for the first time: then
    /// the stream is over, and to be aborted.
    pub(crate) fn push(&self, data: &[u8]) -> bool {
        let mut state = self.state();
        if state.over.is_some() || state.eof {
            return true;
        }
        let fits = state.data.len() + data.len() <= self.limit_bytes;
        if data.is_empty() {
            state.eof = true;
        } else if fits {
            state.data.extend(data);
        } else {
            state.over = Some(Err(Error::StreamOverflow { limit_bytes: self.limit_bytes }));
        }
        drop(state);
        self.changed.notify_waiters();
        fits
    }

    /// Nothing will come any more. False where that was known already.
    pub(crate) fn end(&self, how: Result<(), Error>) -> bool {
        let mut state = self.state();
        let news = state.over.is_none();
        state.over.get_or_insert(how);
        drop(state);
        self.changed.notify_waiters();
        news
    }

    /// What has arrived, at most `max` bytes of it; waits while there is nothing. None at the end.
    pub(crate) async fn read(&self, max: usize) -> Result<Option<Vec<u8>>, Error> {
        self.when(|state| {
            if !state.data.is_empty() {
                let len = state.data.len().min(max);
                return Some(Ok(Some(state.data.drain(..len).collect())));
            }
            match &state.over {
                Some(Err(error)) => Some(Err(error.clone())),
                Some(Ok(())) => Some(Ok(None)),
                None => state.eof.then_some(Ok(None)),
            }
        })
        .await
    }

    /// Waits until nothing can come any more, and tells how that came.
    pub(crate) async fn over(&self) -> Result<(), Error> {
        self.when(|state| state.over.clone()).await
    }

    /// How the stream ended, if it has.
    pub(crate) fn over_now(&self) -> Option<Result<(), Error>> {
        self.state().over.clone()
    }

    async fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(value) = ready(&mut self.state()) {
                return value;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_then_the_end() {
        let inbox = Inbox::new(8);
        assert!(inbox.push(b"abc") && inbox.push(b"defgh"));
        assert_eq!(inbox.read(4).await.unwrap().unwrap(), b"abcd");
        assert!(inbox.push(b""));
        assert_eq!(inbox.read(9).await.unwrap().unwrap(), b"efgh");
        assert_eq!(inbox.read(9).await.unwrap(), None);
        assert!(inbox.over_now().is_none());
        inbox.end(Ok(()));
        assert!(inbox.over().await.is_ok());
    }

    #[tokio::test]
    async fn a_reader_too_slow_gets_what_was_kept_and_then_the_error() {
        let inbox = Inbox::new(4);
        assert!(inbox.push(b"abcd"));
        assert!(!inbox.push(b"e"));
        assert!(inbox.push(b"f"), "told once");
        assert_eq!(inbox.read(9).await.unwrap().unwrap(), b"abcd");
        assert!(matches!(inbox.read(9).await, Err(Error::StreamOverflow { limit_bytes: 4 })));
    }

    #[tokio::test]
    async fn a_reader_who_waits_is_woken() {
        let inbox = std::sync::Arc::new(Inbox::new(4));
        let reader = tokio::spawn({
            let inbox = std::sync::Arc::clone(&inbox);
            async move { inbox.read(4).await }
        });
        tokio::task::yield_now().await;
        inbox.push(b"x");
        assert_eq!(reader.await.unwrap().unwrap().unwrap(), b"x");
    }
}
