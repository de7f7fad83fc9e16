//! The name of the host. It goes into the server's certificate, and people type it to reach the dashboard. Whether it is known
//! here is read from files: asking the C library is nothing that this program may do, and asking a network is nothing that an
//! installation does.

use std::fs;

use super::Subject;
use super::report::Finding;

/// The kernel's limit of a host's name, in bytes.
const LONGEST: usize = 64;

/// Whether the name is one that others can use.
pub(super) fn check(_: &Subject) -> Vec<Finding> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    vec![finding(&name, &read("/etc/hosts"), &read("/etc/nsswitch.conf"))]
}

fn finding(name: &str, hosts: &str, switch: &str) -> Finding {
    let set = "set one with `hostnamectl set-hostname NAME`, by which this host is known in its network";
    let first = name.split('.').next().unwrap_or_default();
    if name.is_empty() || name == "(none)" || first == "localhost" {
        return Finding::warn(
            format!(
                "`{name}`, which is what every host calls itself; the certificate would be for that name"
            ),
            set,
        );
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > LONGEST || !name.split('.').all(is_label) {
        return Finding::warn(
            format!("`{name}`, which is no name that a certificate or an address can hold"),
            set,
        );
    }
    if let Some(address) = address(name, hosts) {
        return Finding::pass(format!("`{name}` ({address} in `/etc/hosts`)"));
    }
    if let Some(service) = knows_itself(switch) {
        return Finding::pass(format!("`{name}` (by `{service}` in `/etc/nsswitch.conf`)"));
    }
    Finding::warn(
        format!("`{name}`, which this host itself may not find: `/etc/hosts` does not name it"),
        format!("add the line `127.0.1.1 {name}` to `/etc/hosts`, unless a name server knows it"),
    )
}

fn address<'a>(name: &str, hosts: &'a str) -> Option<&'a str> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}

/// A service that finds the host's own name without anybody else.
fn knows_itself(switch: &str) -> Option<&'static str> {
    let services = switch.lines().find_map(|line| line.strip_prefix("hosts:"))?;
    ["myhostname", "resolve"].into_iter().find(|known| services.split_whitespace().any(|word| word == *known))
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn a_name_that_others_can_use_passes() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tnode1.example.test NODE1 # this one\n# 10.0.0.1 node2\n";
        let switch = "passwd: files\nhosts: files myhostname dns\n";
        for (name, hosts, switch, state, words) in [
            ("node1", hosts, "", State::Pass, "127.0.1.1 in"),
            ("node1.example.test", hosts, "", State::Pass, "127.0.1.1 in"),
            ("node2", hosts, "", State::Warn, "may not find"),
            ("node2", hosts, switch, State::Pass, "by `myhostname`"),
            ("node2", "", "hosts: files dns", State::Warn, "may not find"),
            ("localhost", hosts, switch, State::Warn, "every host"),
            ("localhost.localdomain", hosts, switch, State::Warn, "every host"),
            ("(none)", hosts, switch, State::Warn, "every host"),
            ("", hosts, switch, State::Warn, "every host"),
            ("my_host", hosts, switch, State::Warn, "no name"),
            ("-x", hosts, switch, State::Warn, "no name"),
            ("a..b", hosts, switch, State::Warn, "no name"),
        ] {
            let finding = finding(name, hosts, switch);
            assert_eq!(finding.state, state, "{name}: {}", finding.evidence);
            assert!(finding.evidence.contains(words), "{}", finding.evidence);
            assert_eq!(finding.remedy.is_some(), state != State::Pass);
        }
    }
}
