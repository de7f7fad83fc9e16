//! Ports that the services will listen on, and the device behind the network cards of virtual machines. Nothing here goes
//! beyond this host.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use rustix::io::Errno;

use super::Subject;
use super::probe::errno;
use super::report::Finding;
use super::sockets::{Holder, holders};

/// Where the server listens.
pub(super) const SERVER_PORT: u16 = 8443;

/// Where the agent listens.
pub(super) const AGENT_PORT: u16 = 7070;

/// Whether each port is free, or held by the installation that is already there.
pub(super) fn ports(subject: &Subject) -> Vec<Finding> {
    subject.ports.iter().map(|port| port_finding(subject, *port)).collect()
}

fn port_finding(subject: &Subject, port: u16) -> Finding {
    let shown = match port {
        SERVER_PORT => format!("{port} (server)"),
        AGENT_PORT => format!("{port} (agent)"),
        other => other.to_string(),
    };
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
    let remedy = "stop that process, or choose another port in the configuration";
    if subject.start { Finding::fail(seen, remedy) } else { Finding::warn(seen, remedy) }
}

/// Listens on all addresses for a moment. A host without IPv6 has one family less to try.
fn try_port(port: u16) -> io::Result<()> {
    TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))?;
    match TcpListener::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
        Err(error)
            if matches!(Errno::from_io_error(&error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)) =>
        {
            Ok(())
        }
        tried => tried.map(drop),
    }
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

/// Whether virtual machines can have network cards.
pub(super) fn tun(_: &Subject) -> Vec<Finding> {
    vec![tun_finding(Path::new("/dev/net/tun"))]
}

fn tun_finding(device: &Path) -> Finding {
    // Opening makes no network device; that takes a call more.
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Finding::pass(format!("`{}` opens", device.display())),
        Err(error) => Finding::warn(
            format!(
                "`{}` does not open ({}); virtual machines will have no network",
                device.display(),
                errno(&error)
            ),
            "run `modprobe tun`, or give this container the device",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::report::State;
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn a_busy_port_names_its_holder() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut subject = subject(Path::new("/not/a/root"));
        subject.ports = vec![listener.local_addr().unwrap().port()];
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let me = format!("is held by `{}` (pid {})", name.trim_end(), std::process::id());
        let failed = &ports(&subject)[0];
        assert_eq!(failed.state, State::Fail);
        assert!(failed.evidence.ends_with(&me), "{}", failed.evidence);
        subject.start = false;
        assert_eq!(ports(&subject)[0].state, State::Warn);
        // Installed, but not by us: this program does not lie below that root.
        (subject.start, subject.installed) = (true, true);
        assert_eq!(ports(&subject)[0].state, State::Fail);
        drop(listener);
        assert_eq!(ports(&subject)[0].state, State::Pass);
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

    #[test]
    fn a_missing_device_is_told() {
        assert_eq!(tun_finding(Path::new("/dev/null")).state, State::Pass);
        assert!(tun_finding(Path::new("/not/here")).evidence.contains("ENOENT"));
    }
}
