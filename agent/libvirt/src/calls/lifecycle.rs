//! Starting and stopping domains. Each asks; whether and when the guest follows is told by its state and by events.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::wire::Procedure;
use bitflags::bitflags;

bitflags! {
    /// How a domain starts (`virDomainCreateFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CreateFlags: u32 {
        /// Paused before its first instruction.
        const PAUSED = 1;
        /// It is destroyed when this connection ends.
        const AUTODESTROY = 2;
        /// A saved state is read past the host's cache.
        const BYPASS_CACHE = 4;
        /// A saved state is thrown away.
        const FORCE_BOOT = 8;
        /// For [`Connection::domain_create_xml`]: only if the XML fits libvirt's schema.
        const VALIDATE = 16;
    }
}

bitflags! {
    /// By which way a guest is asked to shut down (`virDomainShutdownFlagValues`). With none, libvirt chooses.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShutdownFlags: u32 {
        /// The power button.
        const ACPI_POWER_BTN = 1;
        /// The guest's agent.
        const GUEST_AGENT = 2;
    }
}

bitflags! {
    /// By which way a guest is asked to reboot (`virDomainRebootFlagValues`). With none, libvirt chooses.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RebootFlags: u32 {
        /// The power button; when the guest is down, libvirt starts it again.
        const ACPI_POWER_BTN = 1;
        /// The guest's agent.
        const GUEST_AGENT = 2;
    }
}

bitflags! {
    /// How a domain is ended (`virDomainDestroyFlagsValues`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DestroyFlags: u32 {
        /// QEMU is asked, never killed: it may still write what it holds. Fails when it does not end in time.
        const GRACEFUL = 1;
    }
}

impl Connection {
    /// Starts a domain (`virDomainCreateWithFlags`); the name that is returned has its number.
    pub async fn domain_create(&self, domain: &Domain, flags: CreateFlags) -> Result<Domain, Error> {
        self.call(Procedure::DomainCreateWithFlags, (domain, flags.bits())).await
    }

    /// Starts a domain that has no configuration but this (`virDomainCreateXML`).
    pub async fn domain_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<Domain, Error> {
        self.call(Procedure::DomainCreateXml, (xml, flags.bits())).await
    }

    /// Asks the guest to shut down (`virDomainShutdownFlags`).
    pub async fn domain_shutdown(&self, domain: &Domain, flags: ShutdownFlags) -> Result<(), Error> {
        self.call(Procedure::DomainShutdownFlags, (domain, flags.bits())).await
    }

    /// Ends a domain, as if its power was cut (`virDomainDestroyFlags`).
    pub async fn domain_destroy(&self, domain: &Domain, flags: DestroyFlags) -> Result<(), Error> {
        self.call(Procedure::DomainDestroyFlags, (domain, flags.bits())).await
    }

    /// Asks the guest to reboot (`virDomainReboot`).
    pub async fn domain_reboot(&self, domain: &Domain, flags: RebootFlags) -> Result<(), Error> {
        self.call(Procedure::DomainReboot, (domain, flags.bits())).await
    }

    /// Presses the reset button (`virDomainReset`).
    pub async fn domain_reset(&self, domain: &Domain) -> Result<(), Error> {
        self.call(Procedure::DomainReset, (domain, 0u32)).await
    }

    /// Stops the guest's processors (`virDomainSuspend`).
    pub async fn domain_suspend(&self, domain: &Domain) -> Result<(), Error> {
        self.call(Procedure::DomainSuspend, domain).await
    }

    /// Lets them go on (`virDomainResume`).
    pub async fn domain_resume(&self, domain: &Domain) -> Result<(), Error> {
        self.call(Procedure::DomainResume, domain).await
    }
}
