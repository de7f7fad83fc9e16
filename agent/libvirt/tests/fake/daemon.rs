//! The fake daemon: frames as plain bytes, written down once more here, so that a mistake of the client's own encoder
//! does not cancel itself out.

use agent_libvirt::{Connection, Domain, Options};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

pub const REMOTE: u32 = 0x2000_8086;
pub const KEEPALIVE: u32 = 0x6b65_6570;
pub const CALL: u32 = 0;
pub const REPLY: u32 = 1;
pub const MESSAGE: u32 = 2;
pub const STREAM: u32 = 3;
pub const OK: u32 = 0;
pub const ERROR: u32 = 1;
pub const CONTINUE: u32 = 2;
pub const CONNECT_CLOSE: u32 = 2;
pub const GET_HOSTNAME: u32 = 59;
pub const OPEN_CONSOLE: u32 = 201;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    pub program: u32,
    pub procedure: u32,
    pub kind: u32,
    pub serial: u32,
    pub status: u32,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn bytes(&self) -> Vec<u8> {
        let len = 28 + self.body.len() as u32;
        let mut bytes = words(&[len, self.program, 1, self.procedure, self.kind, self.serial, self.status]);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The reply to this call, with that result.
    pub fn reply(&self, body: Vec<u8>) -> Self {
        Self { kind: REPLY, status: OK, body, ..self.clone() }
    }

    /// A frame of the stream that this call opened.
    pub fn stream(&self, status: u32, body: &[u8]) -> Self {
        Self { kind: STREAM, status, body: body.to_vec(), ..self.clone() }
    }
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = words(&[text.len() as u32]);
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A domain.
pub fn vm() -> Domain {
    Domain { name: "vm".to_owned(), uuid: Uuid::from_u128(7), id: Some(1) }
}

/// An error of libvirt: its code, and a message.
pub fn error(code: u32, message: &str) -> Vec<u8> {
    [words(&[code, 10, 1]), text(message), words(&[2, 0, 0, 0, 0, 0, 0, 0])].concat()
}

/// A socket to listen on.
pub struct Fake {
    pub folder: TempDir,
    listener: UnixListener,
}

/// The daemon's side of one connection.
pub struct Peer(pub UnixStream);

impl Fake {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let listener = UnixListener::bind(folder.path().join("sock")).expect("socket");
        Self { folder, listener }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// Options to connect to it, without signs of life.
    pub fn options(&self) -> Options {
        Options { sockets: vec![self.path()], keepalive: None, ..Options::default() }
    }

    pub async fn accept(&self) -> Peer {
        Peer(within(self.listener.accept()).await.expect("accept").0)
    }

    /// Takes a client as libvirt does.
    pub async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        loop {
            let call = peer.read().await;
            match call.procedure {
                66 => peer.write(&call.reply(words(&[1, 0]))).await,
                60 => peer.write(&call.reply(words(&[1]))).await,
                1 => {
                    peer.write(&call.reply(Vec::new())).await;
                    return peer;
                }
                other => panic!("procedure {other} while opening"),
            }
        }
    }

    pub async fn connected(&self, options: &Options) -> (Connection, Peer) {
        let (connection, peer) = tokio::join!(Connection::open(options), self.welcome());
        (connection.expect("connection"), peer)
    }
}

impl Peer {
    pub async fn read(&mut self) -> Wire {
        within(self.read_or_end()).await.expect("a frame")
    }

    /// The next frame; none when the client has closed the connection between two of them.
    pub async fn read_or_end(&mut self) -> Option<Wire> {
        let len = self.0.read_u32().await.ok()?;
        let mut head = [0; 24];
        self.0.read_exact(&mut head).await.expect("a whole header");
        let word = |at: usize| u32::from_be_bytes(head[at * 4..at * 4 + 4].try_into().expect("a word"));
        let mut body = vec![0; len as usize - 28];
        self.0.read_exact(&mut body).await.expect("a whole body");
        assert_eq!(word(1), 1, "the version");
        Some(Wire {
            program: word(0),
            procedure: word(2),
            kind: word(3),
            serial: word(4),
            status: word(5),
            body,
        })
    }

    pub async fn write(&mut self, frame: &Wire) {
        self.write_bytes(&frame.bytes()).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.expect("written");
    }

    /// Reads a call of that procedure.
    pub async fn call(&mut self, procedure: u32) -> Wire {
        let call = self.read().await;
        assert_eq!((call.program, call.procedure, call.kind, call.status), (REMOTE, procedure, CALL, OK));
        call
    }

    /// Shows that nothing comes for a while, and the connection stays.
    pub async fn nothing_more(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(100), self.read_or_end()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// Shows that the connection still works.
    pub async fn answers(&mut self, connection: &Connection) {
        let (hostname, ()) = tokio::join!(connection.hostname(), async {
            let call = self.call(GET_HOSTNAME).await;
            self.write(&call.reply(text("fake"))).await;
        });
        assert_eq!(hostname.expect("a reply"), "fake");
    }
}

/// Waits for a future, but not for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("in time")
}
