//! Making a connection: which socket, who may, and what is opened.

use crate::connection::Connection;
use crate::error::{ConnectError, End, Error};
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
    /// its `max_client_requests` (5 unless configured), and would see no sign of life from it: the default is 4.
    pub calls_in_flight: usize,
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
            events: 1024,
            stream_bytes: 1024 * 1024,
            observer: None,
        }
    }
}

impl Connection {
    /// Connects, and opens the hypervisor.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        connect(options).await.map_err(|error| Error::Connect(Arc::new(error)))
    }
}

async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    let (socket, path) = first_socket(&options.sockets).await?;
    let limits = Limits {
        calls_in_flight: options.calls_in_flight,
        events: options.events,
        stream_bytes: options.stream_bytes,
        keepalive: options.keepalive,
    };
    let session = Session::start(socket, limits, options.observer.clone());
    let connection = Connection::new(session, &path);
    match tokio::time::timeout(options.open_timeout, open(&connection, options)).await {
        Ok(Ok(())) => Ok(connection),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let waited_ms = u64::try_from(options.open_timeout.as_millis()).unwrap_or(u64::MAX);
            Err(ConnectError::Silent { path, waited_ms })
        }
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

/// The first calls of every connection, in the order that libvirt wants.
async fn open(connection: &Connection, options: &Options) -> Result<(), ConnectError> {
    let path = connection.path();
    let List(types) = connection
        .call::<List<i32, 20>>(Procedure::AuthList, ())
        .await
        .map_err(|error| ConnectError::not_libvirt(path, error))?;
    // `REMOTE_AUTH_NONE`
    if !types.contains(&0) {
        let types = types.into_iter().map(auth_name).collect();
        return Err(ConnectError::Authentication { path: path.to_owned(), types });
    }
    let refused = |why| ConnectError::Uri { uri: options.uri.clone(), why };
    if options.keepalive.is_some() {
        // It answers ours either way.
        let _supported: i32 =
            connection.call(Procedure::ConnectSupportsFeature, FEATURE_KEEPALIVE).await.map_err(refused)?;
    }
    // No flags: reading and writing.
    connection.call(Procedure::ConnectOpen, (Some(options.uri.as_str()), 0u32)).await.map_err(refused)
}

impl ConnectError {
    /// The first reply was not what libvirt sends.
    fn not_libvirt(path: &Path, error: Error) -> Self {
        let why = match error {
            Error::Ended(end) => end,
            other => End::Protocol(other.to_string()),
        };
        Self::NotLibvirt { path: path.to_owned(), why }
    }
}

fn auth_name(kind: i32) -> String {
    match kind {
        1 => "sasl".to_owned(),
        2 => "polkit".to_owned(),
        other => format!("number {other}"),
    }
}
