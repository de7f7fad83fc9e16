//! An open connection, and the one way that every call goes. What each call takes and returns stands in `calls`.

use crate::error::{End, Error};
use crate::events::Registrations;
use crate::session::{Inbox, Session};
use crate::stream::Stream;
use crate::wire::Procedure;
use crate::work::Work;
use crate::xdr::{Decode, Encode};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open connection to libvirt. It can be cloned and used from everywhere at once; it ends with its last clone. Its sockets
/// close, in the background, when libvirt has answered what it was sent.
///
/// A call that is given up before its reply came is still done by libvirt, or was never sent; it is never sent by
/// half.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) session: Session,
    /// A session of their own for calls that may hang. Both end together.
    slow: Option<Session>,
    pub(crate) registrations: Registrations,
    path: PathBuf,
}

impl Connection {
    pub(crate) fn new(session: Session, slow: Option<Session>, path: PathBuf) -> Self {
        if let Some(slow) = &slow {
            let (one, other) = (Arc::clone(&session.shared), Arc::clone(&slow.shared));
            tokio::spawn(async move {
                let end = tokio::select! { end = one.ended() => end, end = other.ended() => end };
                one.end(end.clone());
                other.end(end);
            });
        }
        let registrations = Registrations::default();
        Self { inner: Arc::new(Inner { session, slow, registrations, path }) }
    }

    /// Does a call: sends its arguments, waits for its reply.
    pub(crate) async fn call<R: Decode>(
        &self,
        procedure: Procedure,
        arguments: impl Encode,
    ) -> Result<R, Error> {
        self.call_as(procedure.work(), procedure, arguments).await
    }

    /// Does a call of which more is known than its procedure tells.
    pub(crate) async fn call_as<R: Decode>(
        &self,
        work: Work,
        procedure: Procedure,
        arguments: impl Encode,
    ) -> Result<R, Error> {
        let session = self.session(work);
        let limit = (work != Work::Changes).then_some(session.shared.limits.answer_timeout);
        session.call(procedure, arguments, limit).await
    }

    /// Where calls go: those that may hang keep no other from being done.
    fn session(&self, work: Work) -> &Session {
        match (&self.inner.slow, work) {
            (Some(slow), Work::Asks | Work::Changes) => slow,
            (None, _) | (_, Work::Looks) => &self.inner.session,
        }
    }

    /// Does a call that opens a stream.
    pub(crate) async fn open_stream(
        &self,
        procedure: Procedure,
        arguments: impl Encode,
    ) -> Result<Stream, Error> {
        let body = arguments.to_bytes().map_err(|why| Error::Arguments { procedure, why })?;
        let shared = &self.session(procedure.work()).shared;
        let inbox = Arc::new(Inbox::new(shared.limits.stream_bytes));
        let (serial, reply) = shared.call(procedure, body, None, Some(&inbox)).await?;
        // From here on it is aborted when it is dropped.
        let stream = Stream::new(self.clone(), Arc::clone(shared), inbox, procedure, serial);
        <()>::from_bytes(&reply).map_err(|why| Error::Reply { procedure, why })?;
        Ok(stream)
    }

    /// The socket it goes through.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Waits until the connection has ended, and tells why.
    pub async fn ended(&self) -> End {
        self.inner.session.shared.ended().await
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.inner.session.shared.end_now()
    }

    /// How many calls and how many streams libvirt has not finished.
    #[must_use]
    pub fn open_calls_and_streams(&self) -> (usize, usize) {
        let both = |(calls, streams): (usize, usize), session: &Session| {
            let (more_calls, more_streams) = session.shared.open();
            (calls + more_calls, streams + more_streams)
        };
        self.inner.sessions().fold((0, 0), both)
    }

    /// Takes leave of libvirt once that has answered all calls, waits until it has closed the connection, and ends it for all
    /// its clones. Nothing else is called any more.
    ///
    /// # Errors
    /// When libvirt does not within [`Options::answer_timeout`](crate::Options::answer_timeout). The connection is over all
    /// the same, also when this is given up half way.
    pub async fn close(self) -> Result<(), Error> {
        let _over = Over(&self.inner);
        match &self.inner.slow {
            None => self.inner.session.close().await,
            Some(slow) => {
                let (left, left_slow) = tokio::join!(self.inner.session.close(), slow.close());
                left.and(left_slow)
            }
        }
    }

    /// Ends the connection at once, for all its clones.
    pub(crate) fn end_now(&self) {
        self.inner.end();
    }

    /// Waits until libvirt has answered what it was sent before the end, for
    /// [`Options::answer_timeout`](crate::Options::answer_timeout) after that at most.
    pub(crate) async fn read_to_its_end(&self) {
        for session in self.inner.sessions() {
            session.shared.read_to_its_end().await;
        }
    }
}

impl Inner {
    fn sessions(&self) -> impl Iterator<Item = &Session> {
        [&self.session].into_iter().chain(&self.slow)
    }

    fn end(&self) {
        self.sessions().for_each(|session| session.shared.end(End::Closed));
    }
}

/// Ends a connection when it is dropped.
struct Over<'a>(&'a Inner);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
