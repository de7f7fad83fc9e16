//! What a service of `Type=notify` tells systemd: a datagram of `KEY=value` lines to the socket named in
//! `NOTIFY_SOCKET`. Without that variable nothing is sent.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that the service is up, and `status` as `systemctl status` shows it.
pub fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={status}"));
}

/// Changes the line that `systemctl status` shows.
pub fn status(status: &str) {
    send(&format!("STATUS={status}"));
}

/// Says that the service is on its way out.
pub fn stopping() {
    send("STOPPING=1\nSTATUS=stopping");
}

fn send(message: &str) {
    if let Err(error) = try_send(message) {
        tracing::warn!("cannot tell systemd `{}`: {error}", message.replace('\n', " "));
    }
}

fn try_send(message: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    // A leading `@` stands for the NUL byte of the abstract namespace.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
