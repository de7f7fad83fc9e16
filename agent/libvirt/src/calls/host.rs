//! About the host and its libvirt.

use crate::connection::Connection;
use crate::error::Error;
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder};
use std::fmt;

/// A version of libvirt or of a hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 9 in 9.0.1.
    pub major: u32,
    /// 0 in 9.0.1.
    pub minor: u32,
    /// 1 in 9.0.1.
    pub release: u32,
}

/// What the host is (`virNodeInfo`). NUMA and topology are told by the capabilities, and better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// The processor's architecture: `x86_64`.
    pub model: String,
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// Active processors.
    pub cpus: u32,
    /// Their clock, in MHz; 0 where it is not known.
    pub mhz: u32,
    /// NUMA cells.
    pub nodes: u32,
    /// Sockets in each.
    pub sockets: u32,
    /// Cores in each.
    pub cores: u32,
    /// Threads in each.
    pub threads: u32,
}

/// Which emulator is asked about. What is left out, libvirt chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainCapabilities {
    /// The program, as a path.
    pub emulator: Option<String>,
    /// The guest's architecture: `x86_64`.
    pub arch: Option<String>,
    /// The machine: `pc`, `q35`.
    pub machine: Option<String>,
    /// The type: `kvm`, `qemu`.
    pub virt_type: Option<String>,
}

impl Connection {
    /// The hypervisor's version (`virConnectGetVersion`).
    pub async fn version(&self) -> Result<Version, Error> {
        self.call(Procedure::ConnectGetVersion, ()).await
    }

    /// The daemon's version (`virConnectGetLibVersion`).
    pub async fn lib_version(&self) -> Result<Version, Error> {
        self.call(Procedure::ConnectGetLibVersion, ()).await
    }

    /// The host's name (`virConnectGetHostname`).
    pub async fn hostname(&self) -> Result<String, Error> {
        self.call(Procedure::ConnectGetHostname, ()).await
    }

    /// The host's capabilities as XML (`virConnectGetCapabilities`, and libvirt's page "Driver capabilities XML
    /// format").
    pub async fn capabilities(&self) -> Result<String, Error> {
        self.call(Procedure::ConnectGetCapabilities, ()).await
    }

    /// What domains of an emulator can have, as XML (`virConnectGetDomainCapabilities`, and libvirt's page "Domain
    /// capabilities XML format").
    pub async fn domain_capabilities(&self, of: &DomainCapabilities) -> Result<String, Error> {
        let DomainCapabilities { emulator, arch, machine, virt_type } = of;
        let arguments =
            (emulator.as_deref(), arch.as_deref(), machine.as_deref(), virt_type.as_deref(), 0u32);
        self.call(Procedure::ConnectGetDomainCapabilities, arguments).await
    }

    /// What the host is (`virNodeGetInfo`).
    pub async fn node_info(&self) -> Result<NodeInfo, Error> {
        self.call(Procedure::NodeGetInfo, ()).await
    }
}

impl Decode for Version {
    /// One number: a million for the major version, a thousand for the minor one.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let number = u64::decode(from)?;
        let major = number / 1_000_000;
        let invalid =
            DecodeError::Invalid { what: "a version", value: i64::try_from(number).unwrap_or(i64::MAX) };
        let major = u32::try_from(major).map_err(|_| invalid)?;
        Ok(Self { major, minor: (number / 1000 % 1000) as u32, release: (number % 1000) as u32 })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.release)
    }
}

impl Decode for NodeInfo {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        // 32 characters, each of which XDR makes a word of its own.
        let mut model = String::new();
        let mut ended = false;
        for _ in 0..32 {
            let letter = from.u32()?;
            ended |= letter == 0;
            if !ended {
                model.push(char::from((letter & 0xff) as u8));
            }
        }
        let memory_kib = u64::decode(from)?;
        let (cpus, mhz, nodes, sockets, cores, threads) = Decode::decode(from)?;
        Ok(Self { model, memory_kib, cpus, mhz, nodes, sockets, cores, threads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_number() {
        let version = Version::from_bytes(&9_012_003u64.to_be_bytes()).unwrap();
        assert_eq!(version, Version { major: 9, minor: 12, release: 3 });
        assert_eq!(version.to_string(), "9.12.3");
        assert!(Version::from_bytes(&u64::MAX.to_be_bytes()).is_err());
    }
}
