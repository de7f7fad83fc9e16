//! Devices of a domain, as XML of one device each.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::wire::Procedure;
use bitflags::bitflags;

bitflags! {
    /// What is changed (`virDomainDeviceModifyFlags`). With none, what the domain is now: running or off.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DeviceFlags: u32 {
        /// The running domain.
        const LIVE = 1;
        /// Its configuration, which the next start takes.
        const CONFIG = 2;
        /// For an update: open a locked tray.
        const FORCE = 4;
    }
}

impl Connection {
    /// Attaches a device (`virDomainAttachDeviceFlags`).
    pub async fn domain_attach_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DeviceFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainAttachDeviceFlags, (domain, xml, flags.bits())).await
    }

    /// Asks for a device to be detached (`virDomainDetachDeviceFlags`). From a running guest it is gone only when
    /// [`Event::DeviceRemoved`](crate::Event::DeviceRemoved) says so.
    pub async fn domain_detach_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DeviceFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainDetachDeviceFlags, (domain, xml, flags.bits())).await
    }

    /// Changes a device, say the image in a CD drive (`virDomainUpdateDeviceFlags`).
    pub async fn domain_update_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DeviceFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainUpdateDeviceFlags, (domain, xml, flags.bits())).await
    }
}
