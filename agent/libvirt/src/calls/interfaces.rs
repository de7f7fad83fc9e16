//! Network interfaces of a domain.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::numbered::numbered;
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder, List};

/// How many interfaces, and how many addresses of each, there are at most (`REMOTE_DOMAIN_INTERFACE_MAX`,
/// `REMOTE_DOMAIN_IP_ADDR_MAX`).
const LIST_MAX: usize = 2048;

numbered! {
    /// Who is asked for addresses (`virDomainInterfaceAddressesSource`).
    AddressSource {
        /// The DHCP servers of libvirt's own networks.
        Lease = 0,
        /// The guest's agent.
        Agent = 1,
        /// The host's ARP table.
        Arp = 2,
    }
}

/// An interface with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name: on the host, or in the guest where its agent was asked.
    pub name: String,
    /// Its hardware address.
    pub hwaddr: Option<String>,
    /// Its addresses.
    pub addrs: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address, of IPv4 or IPv6.
    pub addr: String,
    /// The length of its network's prefix, in bits; 0 from the ARP table, which does not know.
    pub prefix: u32,
}

/// What an interface has carried, as the guest sees it (`virDomainInterfaceStatsStruct`). -1 where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceStats {
    /// Received bytes.
    pub rx_bytes: i64,
    /// Received packets.
    pub rx_packets: i64,
    /// Receive errors.
    pub rx_errs: i64,
    /// Dropped when receiving.
    pub rx_drop: i64,
    /// Sent bytes.
    pub tx_bytes: i64,
    /// Sent packets.
    pub tx_packets: i64,
    /// Send errors.
    pub tx_errs: i64,
    /// Dropped when sending.
    pub tx_drop: i64,
}

impl Connection {
    /// A running domain's interfaces with their addresses (`virDomainInterfaceAddresses`).
    pub async fn domain_interface_addresses(
        &self,
        domain: &Domain,
        source: AddressSource,
    ) -> Result<Vec<Interface>, Error> {
        let arguments = (domain, i32::from(source), 0u32);
        let List(interfaces) =
            self.call::<List<_, LIST_MAX>>(Procedure::DomainInterfaceAddresses, arguments).await?;
        Ok(interfaces)
    }

    /// What an interface has carried; it is named by its device on the host (`virDomainInterfaceStats`).
    pub async fn domain_interface_stats(
        &self,
        domain: &Domain,
        device: &str,
    ) -> Result<InterfaceStats, Error> {
        self.call(Procedure::DomainInterfaceStats, (domain, device)).await
    }
}

impl Decode for Interface {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (name, hwaddr, List(addrs)) = <(_, _, List<_, LIST_MAX>)>::decode(from)?;
        Ok(Self { name, hwaddr, addrs })
    }
}

impl Decode for InterfaceAddress {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        // The type of the address is told by the address.
        let (_type, addr, prefix) = <(i32, _, _)>::decode(from)?;
        Ok(Self { addr, prefix })
    }
}

impl Decode for InterfaceStats {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (rx_bytes, rx_packets, rx_errs, rx_drop, tx_bytes, tx_packets, tx_errs, tx_drop) =
            Decode::decode(from)?;
        Ok(Self { rx_bytes, rx_packets, rx_errs, rx_drop, tx_bytes, tx_packets, tx_errs, tx_drop })
    }
}
