//! An open connection, and the one way that every call goes. What each call takes and returns stands in `calls`.

use crate::error::{End, Error};
use crate::events::Registrations;
use crate::session::{Inbox, Session};
use crate::stream::Stream;
use crate::wire::Procedure;
use crate::xdr::{Decode, Encode};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open connection to libvirt. It can be cloned and used from everywhere at once; it ends with its last clone.
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
    pub(crate) registrations: Registrations,
    path: PathBuf,
}

impl Connection {
    pub(crate) fn new(session: Session, path: &Path) -> Self {
        let registrations = Registrations::default();
        Self { inner: Arc::new(Inner { session, registrations, path: path.to_owned() }) }
    }

    /// Does a call: sends its arguments, waits for its reply.
    pub(crate) async fn call<R: Decode>(
        &self,
        procedure: Procedure,
        arguments: impl Encode,
    ) -> Result<R, Error> {
        let body = arguments.to_bytes().map_err(|why| Error::Arguments { procedure, why })?;
        let (_, reply) = self.inner.session.shared.call(procedure, body, None).await?;
        R::from_bytes(&reply).map_err(|why| Error::Reply { procedure, why })
    }

    /// Does a call that opens a stream.
    pub(crate) async fn open_stream(
        &self,
        procedure: Procedure,
        arguments: impl Encode,
    ) -> Result<Stream, Error> {
        let body = arguments.to_bytes().map_err(|why| Error::Arguments { procedure, why })?;
        let shared = &self.inner.session.shared;
        let inbox = Arc::new(Inbox::new(shared.limits.stream_bytes));
        let (serial, reply) = shared.call(procedure, body, Some(&inbox)).await?;
        // From here on it is aborted when it is dropped.
        let stream = Stream::new(self.clone(), inbox, procedure, serial);
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
        self.inner.session.shared.open()
    }

    /// Takes leave of libvirt and ends the connection, for all its clones.
    pub async fn close(self) -> Result<(), Error> {
        self.inner.session.shared.leave();
        let left = self.call(Procedure::ConnectClose, ()).await;
        self.inner.session.shared.end(End::Closed);
        match left {
            // It closes at once, and may be faster than its reply.
            Err(Error::Ended(End::Closed)) => Ok(()),
            left => left,
        }
    }
}
