//! A request over TLS to a machine that has no client for it: a thread of this test enters the machine's network, which is
//! nothing but loopback.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::host::Host;

/// What was answered.
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The headers as they came, and behind an empty line the body.
    pub text: String,
}

/// Asks `https://localhost:8443`, and believes only the host's own authority. `body` makes it a POST of JSON.
pub fn ask(host: &Host, path: &str, token: Option<&str>, body: Option<&str>) -> Answer {
    ask_as(host, "localhost", path, token, body)
}

/// The same, for those who reach the host by this name.
pub fn ask_as(host: &Host, name: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Answer {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let authority = host.0.read("/etc/cairn/tls/ca.pem").unwrap();
    let network = network_of(host);
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:8443\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Only this thread moves, and it ends here.
    let text = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        exchange(&authority, name, request.as_bytes())
    });
    let text = text.join().unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no HTTP: {text}")), text }
}

use std::os::fd::AsFd as _;

/// The network of the machine, by the process that its path leads through.
fn network_of(host: &Host) -> File {
    let root = host.0.path();
    File::open(root.parent().unwrap().join("ns/net")).unwrap()
}

fn exchange(authority: &[u8], name: ServerName<'static>, request: &[u8]) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, 8443)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}
