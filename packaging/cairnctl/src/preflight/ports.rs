//! Ports that the services will listen on. Nothing here goes beyond this host.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen as listen_on, socket_with};

use super::Subject;
use super::probe::errno;
use super::report::Finding;
use super::sockets::{Holder, holders};
use crate::layout::Layout;
use crate::role::Role;

/// A TCP port that one of the services will listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    number: u16,
    /// `server` or `agent`, as in the name of its configuration file.
    service: &'static str,
}

impl Port {
    /// The ports of a role's services: what configuration that is there says, otherwise the defaults that
    /// `packaging/control-contract.md` names.
    pub fn all(layout: &Layout, role: Role) -> Vec<Self> {
        [("server", 8443, role.server()), ("agent", 7070, role.agent())]
            .into_iter()
            .filter(|(.., used)| *used)
            .map(|(service, default, _)| {
                let file = layout.configuration().join(format!("{service}.toml"));
                let configured = fs::read_to_string(file).ok().and_then(|text| listen(&text));
                Self { number: configured.unwrap_or(default), service }
            })
            .collect()
    }
}

/// The port of `listen = "ADDRESS:PORT"`. Whatever else may be in the file is judged by the service itself.
fn listen(configuration: &str) -> Option<u16> {
    let value = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "listen").then_some(value)
    })?;
    let address = value.trim_start().strip_prefix('"')?.split('"').next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// Whether each port is free, or held by the installation that is already there.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    subject.ports.iter().map(|port| port_finding(subject, *port)).collect()
}

fn port_finding(subject: &Subject, Port { number: port, service }: Port) -> Finding {
    let shown = format!("{port} ({service})");
    let error = match try_port(port) {
        Ok(()) => return Finding::pass(format!("{shown} is free")),
        Err(error) => error,
    };
    if Errno::from_io_error(&error) != Some(Errno::ADDRINUSE) {
        return Finding::warn(
            format!("{shown} could not be tried ({})", errno(&error)),
            "run it again as root, or choose a port above 1023",
        );
    }
    let holders = holders(Path::new("/proc"), port);
    let seen = format!("{shown} is held by {}", described(&holders));
    if subject.installed && is_ours(&holders, &subject.layout.prefix()) {
        return Finding::pass(format!("{seen}, of this installation"));
    }
    let file = subject.layout.configuration().join(format!("{service}.toml"));
    let remedy = format!("stop that process, or choose another port: `listen` in {}", file.display());
    if subject.start { Finding::fail(seen, remedy) } else { Finding::warn(seen, remedy) }
}

/// Listens on all addresses for a moment. A host without IPv6 has one family less to try.
fn try_port(port: u16) -> io::Result<()> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    match try_ipv6(port) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => Ok(()),
        tried => Ok(tried?),
    }
}

/// By IPv6 alone. Otherwise it would be at odds with what was just tried by IPv4, as long as a program that another check
/// starts has inherited that and not closed it yet.
fn try_ipv6(port: u16) -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_ipv6_v6only(&socket, true)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    listen_on(&socket, 1)
}

fn described(holders: &[Holder]) -> String {
    let names: Vec<String> =
        holders.iter().map(|holder| format!("`{}` (pid {})", holder.name, holder.pid)).collect();
    if names.is_empty() { "a process that this run cannot see".into() } else { names.join(", ") }
}

/// Whether a program below `prefix` holds the port. A program that was replaced while it ran is still called by its path.
fn is_ours(holders: &[Holder], prefix: &Path) -> bool {
    let prefix = fs::canonicalize(prefix).unwrap_or_else(|_| prefix.to_owned());
    holders.iter().any(|holder| holder.program.as_ref().is_some_and(|program| program.starts_with(&prefix)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::report::State;
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn what_was_tried_by_ipv4_is_not_in_the_way_of_ipv6() {
        let held = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(matches!(try_ipv6(port), Ok(()) | Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)));
        assert!(try_port(port).is_err(), "it is held all the same");
    }

    #[test]
    fn a_busy_port_names_its_holder() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut subject = subject(Path::new("/not/a/root"));
        subject.ports = vec![Port { number: listener.local_addr().unwrap().port(), service: "server" }];
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let me = format!("is held by `{}` (pid {})", name.trim_end(), std::process::id());
        let failed = &check(&subject)[0];
        assert_eq!(failed.state, State::Fail);
        assert!(failed.evidence.ends_with(&me), "{}", failed.evidence);
        subject.start = false;
        assert_eq!(check(&subject)[0].state, State::Warn);
        // Installed, but not by us: this program does not lie below that root.
        (subject.start, subject.installed) = (true, true);
        assert_eq!(check(&subject)[0].state, State::Fail);
        drop(listener);
        assert_eq!(check(&subject)[0].state, State::Pass);
    }

    #[test]
    fn configuration_moves_a_port() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let numbers = |role| Port::all(&layout, role).iter().map(|port| port.number).collect::<Vec<_>>();
        assert_eq!((numbers(Role::All), numbers(Role::Agent)), (vec![8443, 7070], vec![7070]));
        fs::create_dir_all(layout.configuration()).unwrap();
        let text = "# listen = \"[::]:1\"\nlisten = \"[::]:9443\" # here\n";
        fs::write(layout.configuration().join("server.toml"), text).unwrap();
        assert_eq!(numbers(Role::All), [9443, 7070]);
        assert_eq!((listen("listen = 9"), listen("listen = \"x\""), listen("")), (None, None, None));
    }

    #[test]
    fn our_own_programs_may_hold_a_port() {
        let holder = |program: &str| {
            [Holder {
                pid: 1,
                name: "x".into(),
                program: (!program.is_empty()).then(|| PathBuf::from(program)),
            }]
        };
        let prefix = Path::new("/not/here/opt/cairn");
        assert!(is_ours(&holder("/not/here/opt/cairn/versions/1/bin/cairn-server (deleted)"), prefix));
        assert!(!is_ours(&holder("/not/here/opt/cairns/bin/x"), prefix));
        assert!(!is_ours(&holder(""), prefix));
        assert!(!is_ours(&[], prefix));
    }
}
