//! Opening the doors: a TCP port that serves IPv4 and IPv6 where the host has both, and a socket file for this host.
//! Addresses are numbers; nothing here resolves a name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Why a door did not open.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "`{address}` is already in use; stop the program that listens there (`ss -ltnp` shows it), or set another `listen` in `{config}`"
    )]
    Taken {
        /// The address asked for.
        address: SocketAddr,
        /// Where it can be changed.
        config: PathBuf,
    },
    /// The system refused for another reason.
    #[error("cannot listen on `{address}`: {cause}; set a `listen` that this host has in `{config}`")]
    Tcp {
        /// The address asked for.
        address: SocketAddr,
        /// Where it can be changed.
        config: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The socket file belongs to a living process.
    #[error("another process answers on `{0}`; stop it first")]
    Answered(PathBuf),
    /// The socket file cannot be made.
    #[error(
        "cannot listen on `{path}`: {cause}; see that its folder is writable and no other file has that name"
    )]
    Unix {
        /// The socket file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Listens on `address`. `[::]` serves IPv4 too, and becomes `0.0.0.0` on a host that has no IPv6, so that one default
/// works everywhere. `config` is named in errors: the file that the address came from.
///
/// # Errors
/// See [`ListenError`].
pub fn tcp(address: SocketAddr, config: &Path) -> Result<TcpListener, ListenError> {
    let opened = match open(address) {
        Err(error) if address.ip() == IpAddr::from([0u16; 8]) && lacks_ipv6(&error) => {
            tracing::info!("this host has no IPv6, listening on IPv4 alone");
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        opened => opened,
    };
    opened.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { address, config: config.to_owned() },
        _ => ListenError::Tcp { address, config: config.to_owned(), cause },
    })
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = stream_socket(family)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Otherwise a sysctl decides whether `[::]` serves IPv4.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Listens on a socket file at `path` that only its owner can open. A file left by a process that died is replaced;
/// one that somebody answers on is not.
///
/// # Errors
/// [`ListenError::Answered`] or [`ListenError::Unix`].
pub fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    remove_stale(path)?;
    open_unix(path).map_err(|cause| ListenError::Unix { path: path.to_owned(), cause })
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |cause| ListenError::Unix { path: path.to_owned(), cause };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is no socket")));
        }
        Ok(_) => {}
    }
    // Only a refusal proves that nobody listens: a full queue, for one, is another error.
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(ListenError::Answered(path.to_owned())),
    }
}

fn open_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = stream_socket(AddressFamily::UNIX)?;
    // The file takes its mode from the socket when it is bound: there is no moment in which others could connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Where a program on this host reaches a service that listens on `address`.
#[must_use]
pub fn loopback_of(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // Also for `[::]`, which serves IPv4 here, and may not be there on the next host.
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const CONFIG: &str = "/etc/cairn/server.toml";

    #[tokio::test]
    async fn every_address_serves_ipv4_too() {
        let listener = tcp("[::]:0".parse().unwrap(), Path::new(CONFIG)).unwrap();
        let address = loopback_of(listener.local_addr().unwrap());
        assert!(address.is_ipv4());
        tokio::net::TcpStream::connect(address).await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_file_that_asked_for_it() {
        let first = tcp("127.0.0.1:0".parse().unwrap(), Path::new(CONFIG)).unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp(address, Path::new(CONFIG)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{address}` is already in use; ")), "{error}");
        assert!(error.ends_with(&format!("in `{CONFIG}`")), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let first = unix(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(unix(&path), Err(ListenError::Answered(_))));
        drop(first);
        unix(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(unix(&path).unwrap_err().to_string().contains("it is no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
