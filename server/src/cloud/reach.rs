//! By which address another host reaches this server, where nobody has said it. No name is looked up.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::CloudError;

/// The name or address for other hosts: `reached`, as this server was, unless that means this host itself; then the one
/// address that it has.
///
/// # Errors
/// If it has none, or several.
pub fn choose(reached: &str, own: &BTreeSet<IpAddr>) -> Result<String, CloudError> {
    let is_loopback = match reached.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => reached == "localhost" || reached.ends_with(".localhost"),
    };
    if !is_loopback {
        return Ok(reached.to_owned());
    }
    let mut all = own.iter();
    if let (Some(only), None) = (all.next(), all.next()) {
        return Ok(only.to_string());
    }
    let known: Vec<String> = own.iter().map(|address| format!("`{address}`")).collect();
    let known =
        if known.is_empty() { "none is known".to_owned() } else { format!("it has {}", known.join(", ")) };
    Err(CloudError::invalid(
        format!("another host does not reach this server as `{reached}`"),
        format!("name the address that it does, such as `192.0.2.1:8443`; {known}"),
    ))
}

/// The addresses of this host, but for those of loopback and of one link alone.
#[must_use]
pub fn own() -> BTreeSet<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = ipv4(&read("/proc/net/fib_trie"));
    found.extend(ipv6(&read("/proc/net/if_inet6")));
    found
}

/// An address stands in a line of its own, `|-- 192.0.2.1`, before one that says `/32 host LOCAL`.
fn ipv4(table: &str) -> BTreeSet<IpAddr> {
    let mut last = None;
    let mut found = BTreeSet::new();
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.filter(|address| !address.is_loopback()).map(IpAddr::from));
        }
    }
    found
}

/// `20010db8000000000000000000000001 02 40 00 80 eth0`: the fourth is the scope, 00 for one that others reach.
fn ipv6(table: &str) -> BTreeSet<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        (words.nth(2)? == "00").then(|| IpAddr::from(Ipv6Addr::from_bits(bits)))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
";

    const INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo
fe800000000000005054000000000001 02 40 20 80     eth0
20010db8000000000000000000000007 02 40 00 80     eth0
";

    #[test]
    fn the_one_address_is_taken_where_the_server_was_reached_on_its_own_host() {
        let (four, six) = (ipv4(TRIE), ipv6(INET6));
        assert_eq!(four.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.7"]);
        assert_eq!(six.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2001:db8::7"]);
        for local in ["localhost", "127.0.0.1", "::1", "cloud.localhost"] {
            assert_eq!(choose(local, &four).unwrap(), "192.0.2.7", "{local}");
        }
        assert_eq!(choose("cloud.example", &four).unwrap(), "cloud.example");
        let several = choose("localhost", &four.union(&six).copied().collect()).unwrap_err().reply();
        assert!(several.next.unwrap().ends_with("it has `192.0.2.7`, `2001:db8::7`"));
        let none = choose("localhost", &BTreeSet::new()).unwrap_err().reply();
        assert!(none.next.unwrap().ends_with("none is known"));
    }
}
