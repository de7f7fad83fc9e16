//! Every way in which a call, a stream or a connection can fail. Each error shows all there is to know in one line,
//! so none has a source that would say it again.

use crate::qemu_error::QmpError;
use crate::remote_error::RemoteError;
use crate::wire::Procedure;
use crate::wire::frame::FrameError;
use crate::xdr::{DecodeError, EncodeError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why something failed. One error can reach many callers, so it can be cloned.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// No connection came about.
    #[error(transparent)]
    Connect(#[from] Arc<ConnectError>),
    /// libvirt did the call, and says why it failed.
    #[error("libvirt: {0}")]
    Remote(Arc<RemoteError>),
    /// QEMU did the monitor command, and says why it failed. libvirt calls that a success.
    #[error("QEMU: {0}")]
    Qmp(Arc<QmpError>),
    /// The arguments cannot be sent.
    #[error("cannot call `{}`: {why}", procedure.name())]
    Arguments {
        /// What was to be called.
        procedure: Procedure,
        /// Why not.
        why: EncodeError,
    },
    /// The reply is not laid out as it should be. The call itself was done.
    #[error("cannot read the reply to `{}`: {why}; report it with what `virsh version --daemon` says", procedure.name())]
    Reply {
        /// What was called.
        procedure: Procedure,
        /// What is wrong with it.
        why: DecodeError,
    },
    /// An answer of QEMU or of the guest's agent is not what it should be. The command itself was done.
    #[error("cannot read {what}: {why}")]
    Json {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The connection ended before the answer came. Whether the call was done is not known.
    #[error("the connection to libvirt is over: {0}")]
    Ended(End),
    /// The connection was over before the call was sent: nothing was done.
    #[error("nothing was sent, for the connection to libvirt is over: {why}")]
    NotSent {
        /// Why it ended.
        why: End,
    },
    /// The call was not sent, for libvirt has not finished those before it: nothing was done.
    #[error(
        "`{}` was not sent within {waited_ms} ms, for libvirt has not answered the {before} calls before it; see \
         with `virsh domcontrol` which domain hangs, mend its storage or end its QEMU, and try again",
        procedure.name()
    )]
    Busy {
        /// What was to be called.
        procedure: Procedure,
        /// How long was waited for a turn, in milliseconds.
        waited_ms: u64,
        /// How many calls libvirt has at once.
        before: usize,
    },
    /// libvirt did not answer a call that changes nothing. It may still be at it.
    #[error(
        "libvirt gave no answer to `{}` within {waited_ms} ms; see with `virsh domcontrol` whether a domain hangs, \
         mend its storage or end its QEMU, and try again",
        procedure.name()
    )]
    NoAnswer {
        /// What was called.
        procedure: Procedure,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// There is no connection now, and the call was not sent.
    #[error("not connected to libvirt: {why}; a connection is being tried, try again after it is announced")]
    Disconnected {
        /// What ended the last connection, or kept the last attempt from making one.
        why: Arc<Error>,
    },
    /// A stream brought more than was read from it.
    #[error(
        "the stream brought more than {limit_bytes} bytes that nobody read, and was aborted; read faster"
    )]
    StreamOverflow {
        /// How much is kept for a reader.
        limit_bytes: usize,
    },
    /// The stream is over.
    #[error("the stream is over; open another")]
    StreamOver,
}

impl Error {
    /// What libvirt itself said, where it did.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Remote(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, Error)]
pub enum End {
    /// We closed it.
    #[error("it was closed on this side")]
    Closed,
    /// libvirt closed it, or its daemon ended.
    #[error("libvirt closed it; see the log of its daemon, `journalctl -u virtqemud -u libvirtd`")]
    ByPeer,
    /// Reading or writing failed.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// libvirt gave no sign of life.
    #[error("no sign of life for {silent_ms} ms; its daemon hangs or the host is overloaded")]
    Dead {
        /// How long nothing came, at least, in milliseconds.
        silent_ms: u64,
    },
    /// What came was no frame.
    #[error("what came is not libvirt's protocol: {0}")]
    Garbage(FrameError),
    /// A frame came that makes no sense.
    #[error("libvirt broke its protocol: {0}")]
    Protocol(String),
}

/// Why no connection came about.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// It is being tried for the first time.
    #[error("the first attempt is under way")]
    NotYet,
    /// There is no socket.
    #[error(
        "cannot find libvirt's socket at {}; install libvirt, or start it with `systemctl start \
         virtqemud.socket` or `systemctl start libvirtd`",
        shown(paths)
    )]
    Absent {
        /// Where it was looked for, in order.
        paths: Vec<PathBuf>,
    },
    /// A socket file is there, but no daemon listens.
    #[error(
        "nothing listens on libvirt's socket `{}`; start its daemon with `systemctl start \
         virtqemud.socket` or `systemctl start libvirtd`",
        path.display()
    )]
    Refused {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be used.
    #[error(
        "cannot open libvirt's socket `{}`: {why}; run as the superuser or as a member of the \
         socket's group",
        path.display()
    )]
    Open {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// libvirt wants to know who we are.
    #[error(
        "libvirt wants authentication `{}` on `{}`; run as the superuser, or set `auth_unix_rw = \"none\"` in \
         /etc/libvirt/virtqemud.conf or libvirtd.conf and restart it", types.join("`, `"), path.display()
    )]
    Authentication {
        /// The socket.
        path: PathBuf,
        /// The ways that it accepts.
        types: Vec<String>,
    },
    /// The connection ended while it was being opened.
    #[error(
        "the connection on `{}` ended while it was being opened: {why}; if libvirt's daemon is starting or stopping, \
         try again, and if it has as many clients as its `max_clients`, raise that", path.display()
    )]
    TurnedAway {
        /// The socket.
        path: PathBuf,
        /// How it ended.
        why: End,
    },
    /// The socket's owner does not speak the protocol.
    #[error("what listens on `{}` is not libvirt: {why}; check the path", path.display())]
    NotLibvirt {
        /// The socket.
        path: PathBuf,
        /// What it did.
        why: End,
    },
    /// No answer came in time.
    #[error(
        "what listens on `{}` gave no answer within {waited_ms} ms; restart libvirt's daemon, or check \
         the path", path.display()
    )]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// libvirt does not open the hypervisor.
    #[error("libvirt does not open `{uri}`: {why}")]
    Uri {
        /// What was to be opened.
        uri: String,
        /// What it said.
        why: Error,
    },
}

fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    paths.join(" or ")
}

/// A duration as it is told.
pub(crate) fn millis(waited: Duration) -> u64 {
    u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl From<End> for Arc<Error> {
    fn from(end: End) -> Self {
        Self::new(Error::Ended(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_end_with_the_remedy() {
        let absent = ConnectError::Absent { paths: vec!["/a".into(), "/b".into()] };
        let said = absent.to_string();
        assert!(said.starts_with("cannot find libvirt's socket at `/a` or `/b`; install libvirt"), "{said}");
        let auth =
            ConnectError::Authentication { path: "/a".into(), types: vec!["sasl".into(), "polkit".into()] };
        assert!(auth.to_string().contains("authentication `sasl`, `polkit` on `/a`; run as"), "{auth}");
    }
}
