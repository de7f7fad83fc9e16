//! Whether an address that people type leads to this server, as far as this host can tell. No name is looked up: who asks for a
//! name gets the certificate that is shown on loopback, and that has to be for the name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use packaging_service::layout::Layout;
use packaging_service::report::Check;
use packaging_service::{client, listen, tls};

use super::within;
use crate::bootstrap::names::Address;

const NAME: &str = "address";

const NOT_FOR_IT: &str = "run `cairnctl change-address` with all that people type to reach this host";
const NOT_HERE: &str =
    "set `listen` in server.toml so that the server answers there, or choose another address";
const ELSEWHERE: &str = "see that it is forwarded to this host: that cannot be seen from here";

/// Looks at the server that listens on `listening` as one who typed `address`.
pub async fn look_at(layout: &Layout, listening: SocketAddr, address: &Address, limit: Duration) -> Check {
    let roots = match tls::authority(layout) {
        Ok(roots) => roots,
        Err(error) => return Check::fail(NAME, error.to_string(), NOT_FOR_IT),
    };
    let ours = match address {
        Address::Ip(ip) => is_ours(*ip).then(|| SocketAddr::new(*ip, listening.port())),
        Address::Name(_) => None,
    };
    let asked = ours.unwrap_or_else(|| listen::loopback_of(listening));
    let name = address.to_string();
    let answer = within(limit, client::connect_tls(asked, &name, tls::anonymous_client(roots)));
    match answer.await {
        Err(error) if ours.is_some() => Check::fail(NAME, format!("{asked}: {error}"), NOT_HERE),
        Err(error) => Check::fail(NAME, format!("`{address}`, asked of {asked}: {error}"), NOT_FOR_IT),
        Ok(_) if ours.is_some() => Check::pass(NAME, format!("{asked} answers with a certificate for it")),
        Ok(_) => match address {
            Address::Ip(_) => {
                let seen = format!("`{address}` is in the certificate, and is no address of this host");
                Check::warn(NAME, seen, ELSEWHERE)
            }
            Address::Name(_) => Check::pass(NAME, format!("the certificate is for `{address}`")),
        },
    }
}

/// Whether this host has the address: only then can something be bound to it.
fn is_ours(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}
