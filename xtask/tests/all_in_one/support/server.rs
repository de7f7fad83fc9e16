//! A web server on this machine that serves one file, and remembers what it was asked for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server answers a request.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// With what was asked for.
    Asked,
    /// With what was asked for, cut off after so many bytes.
    Cut(usize),
    /// With the whole file, whatever part was asked for.
    Whole,
    /// That there is no such file.
    Missing,
}

/// What a request asked for and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The first byte that was asked for, if not all were.
    pub from: Option<usize>,
    /// Bytes that were sent.
    pub sent: usize,
}

/// The server. It answers requests as its replies say, in order, and the ones after them as [`Reply::Missing`].
pub struct Server {
    /// Where the file is.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves `content`.
    pub fn start(content: Vec<u8>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, replies) = (Arc::clone(&requests), replies.to_vec());
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut replies = replies.into_iter();
            for stream in listener.incoming() {
                let request = answer(stream.unwrap(), &content, replies.next().unwrap_or(Reply::Missing));
                seen.lock().unwrap().push(request);
            }
        });
        Self { url, requests }
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, content: &[u8], reply: Reply) -> Request {
    let mut from = None;
    for line in BufReader::new(&stream).lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = Some(range.trim_end_matches('-').parse().unwrap());
        }
    }
    let whole = content.len();
    let (head, body) = match (reply, from) {
        (Reply::Missing, _) => ("404 Not Found".to_owned(), &[][..]),
        (Reply::Whole, _) | (Reply::Asked | Reply::Cut(_), None) => ("200 OK".to_owned(), content),
        (Reply::Asked | Reply::Cut(_), Some(from)) => {
            let range = format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}", whole - 1);
            (range, &content[from..])
        }
    };
    let length = body.len();
    let sent = if let Reply::Cut(bytes) = reply { &body[..bytes] } else { body };
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client that cannot use the answer hangs up in the middle of it.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
    Request { from, sent: sent.len() }
}
