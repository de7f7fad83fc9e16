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

/// Whether its disks let a domain migrate is not asked (`VIR_MIGRATE_UNSAFE`).
const MIGRATE_UNSAFE: u64 = 1 << 9;

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

    /// Describes a running domain for a host that it could migrate to, as XML (`virDomainMigrateBegin3`). Nothing begins with
    /// it: libvirt keeps a job for a migration only where a flag asks for that, and none does here.
    ///
    /// Before it describes anything, libvirt asks QEMU which drives are empty and whose trays are open, and notes that, even where
    /// it refuses a migration then. No other call makes it do so (`qemuProcessRefreshDisks`).
    pub async fn domain_migrate_begin(&self, domain: &Domain) -> Result<String, Error> {
        let (no_xml, no_name, no_limit) = (None::<&str>, None::<&str>, 0u64);
        let arguments = (domain, no_xml, MIGRATE_UNSAFE, no_name, no_limit);
        // In front there is a cookie for the other host.
        let (_cookie, xml) = self.call::<(String, String)>(Procedure::DomainMigrateBegin3, arguments).await?;
        Ok(xml)
    }
}
