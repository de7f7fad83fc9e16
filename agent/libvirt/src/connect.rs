//! Making a connection: which socket, who may, and what is opened.

use crate::connection::Connection;
use crate::error::{ConnectError, End, Error, millis};
use crate::session::{Limits, Session};
use crate::wire::{FrameObserver, Keepalive, Procedure};
use crate::xdr::List;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// `VIR_DRV_FEATURE_PROGRAM_KEEPALIVE`: asking for it makes libvirt ask us for signs of life too.
const FEATURE_KEEPALIVE: i32 = 10;

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// Where libvirt's sockets may be; the first that answers is taken. By default that of the modular daemon, then
    /// that of the monolithic one (libvirt's page "libvirt daemons").
    pub sockets: Vec<PathBuf>,
    /// What to open, by default `qemu:///system`.
    pub uri: String,
    /// How long opening may take. A daemon that has just started looks at its hypervisors first: the default is a
    /// minute.
    pub open_timeout: Duration,
    /// When a silent connection is dead; none to wait for ever.
    pub keepalive: Option<Keepalive>,
    /// How many calls libvirt is given at once; more wait here. It stops reading from a client that has as many as
    /// its `max_client_requests` (5 unless configured), and would see no sign of life from it: the default is 4. What a
    /// stream writes and libvirt has not passed on counts there too, and not here ([`Stream::write`](crate::Stream::write)).
    pub calls_in_flight: usize,
    /// How long a call that changes nothing may take, and how long any call waits for its turn while libvirt answers none of
    /// those before it. One that changes something and was sent is waited for as long as it takes. The default is 30 seconds.
    pub answer_timeout: Duration,
    /// How many events are kept for a subscription that does not take them. The default is 1024.
    pub events: usize,
    /// How many bytes are kept for a stream that nobody reads. The default is 1 MiB.
    pub stream_bytes: usize,
    /// Who sees every frame.
    pub observer: Option<Arc<dyn FrameObserver>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sockets: vec!["/run/libvirt/virtqemud-sock".into(), "/run/libvirt/libvirt-sock".into()],
            uri: "qemu:///system".to_owned(),
            open_timeout: Duration::from_secs(60),
            keepalive: Some(Keepalive::default()),
            calls_in_flight: 4,
            answer_timeout: Duration::from_secs(30),
            events: 1024,
            stream_bytes: 1024 * 1024,
            observer: None,
        }
    }
}

impl Connection {
    /// Connects, and opens the hypervisor.
    ///
    /// # Errors
    /// [`Error::Connect`], with why none of the sockets was good, or what libvirt refused.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let (session, path) = connect(options).await?;
        Ok(Self::new(session, None, path))
    }

    /// The same twice, as one: calls that may hang go through a socket of their own, and keep none of the others from being
    /// done.
    pub(crate) async fn open_apart(options: &Options) -> Result<Self, Error> {
        let (session, path) = connect(options).await?;
        let (slow, _) = connect(&Options { sockets: vec![path.clone()], ..options.clone() }).await?;
        Ok(Self::new(session, Some(slow), path))
    }
}

async fn connect(options: &Options) -> Result<(Session, PathBuf), Arc<ConnectError>> {
    let (socket, path) = first_socket(&options.sockets).await?;
    let limits = Limits {
        calls_in_flight: options.calls_in_flight,
        events: options.events,
        stream_bytes: options.stream_bytes,
        keepalive: options.keepalive,
        answer_timeout: options.answer_timeout,
    };
    let session = Session::start(socket, limits, options.observer.clone());
    match tokio::time::timeout(options.open_timeout, open(&session, &path, options)).await {
        Ok(Ok(())) => Ok((session, path)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ConnectError::Silent { path, waited_ms: millis(options.open_timeout) }.into()),
    }
}

/// The first socket that someone listens on. Where there is none, the error about the one that exists tells more.
async fn first_socket(paths: &[PathBuf]) -> Result<(UnixStream, PathBuf), ConnectError> {
    let mut failed = None;
    for path in paths {
        let why = match UnixStream::connect(path).await {
            Ok(socket) => return Ok((socket, path.clone())),
            Err(why) => why,
        };
        let path = path.clone();
        match why.kind() {
            ErrorKind::NotFound => continue,
            ErrorKind::ConnectionRefused => failed.get_or_insert(ConnectError::Refused { path }),
            _ => failed.get_or_insert(ConnectError::Open { path, why }),
        };
    }
    Err(failed.unwrap_or_else(|| ConnectError::Absent { paths: paths.to_owned() }))
}

/// The first calls of every connection, in the order that libvirt wants. Each may take as long as all together.
async fn open(session: &Session, path: &Path, options: &Options) -> Result<(), ConnectError> {
    let not_libvirt = |error: Error| {
        let said = error.to_string();
        let otherwise = || ConnectError::NotLibvirt { path: path.to_owned(), why: End::Protocol(said) };
        ConnectError::ended(path, &error).unwrap_or_else(otherwise)
    };
    let List(types) =
        session.call::<List<i32, 20>>(Procedure::AuthList, (), None).await.map_err(not_libvirt)?;
    // `REMOTE_AUTH_NONE`
    if !types.contains(&0) {
        let types = types.into_iter().map(auth_name).collect();
        return Err(ConnectError::Authentication { path: path.to_owned(), types });
    }
    let refused = |why: Error| {
        ConnectError::ended(path, &why).unwrap_or_else(|| ConnectError::Uri { uri: options.uri.clone(), why })
    };
    if options.keepalive.is_some() {
        // It answers ours either way.
        let _supported: i32 = session
            .call(Procedure::ConnectSupportsFeature, FEATURE_KEEPALIVE, None)
            .await
            .map_err(refused)?;
    }
    // No flags: reading and writing.
    let arguments = (Some(options.uri.as_str()), 0u32);
    session.call::<()>(Procedure::ConnectOpen, arguments, None).await.map_err(refused)?;
    session.shared.opened();
    Ok(())
}

impl ConnectError {
    /// That the connection ended while it was being opened, if that is what happened.
    fn ended(path: &Path, error: &Error) -> Option<Self> {
        let (Error::Ended(end) | Error::NotSent { why: end }) = error else { return None };
        let path = path.to_owned();
        Some(match end {
            End::ByPeer | End::Closed | End::Io(_) => Self::TurnedAway { path, why: end.clone() },
            End::Dead { silent_ms } => Self::Silent { path, waited_ms: *silent_ms },
            End::Garbage(_) | End::Protocol(_) => Self::NotLibvirt { path, why: end.clone() },
        })
    }
}

fn auth_name(kind: i32) -> String {
    match kind {
        1 => "sasl".to_owned(),
        2 => "polkit".to_owned(),
        other => format!("number {other}"),
    }
}
