//! Which domains there are, and their configuration.

use crate::calls::memory::AffectFlags;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::wire::Procedure;
use crate::xdr::List;
use bitflags::bitflags;
use uuid::Uuid;

/// How many domains a list has at most (`REMOTE_DOMAIN_LIST_MAX`).
pub(super) const DOMAIN_LIST_MAX: usize = 16384;

bitflags! {
    /// Which domains are listed (`virConnectListAllDomainsFlags`). Of a pair, none is as good as both.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ListFlags: u32 {
        /// Those that run or are paused.
        const ACTIVE = 1;
        /// Those that are off.
        const INACTIVE = 2;
        /// Those with a configuration.
        const PERSISTENT = 4;
        /// Those without one, which are gone when they stop.
        const TRANSIENT = 8;
    }
}

bitflags! {
    /// How a configuration is taken (`virDomainDefineFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DefineFlags: u32 {
        /// Only if it fits libvirt's schema.
        const VALIDATE = 1;
    }
}

bitflags! {
    /// What goes with a configuration (`virDomainUndefineFlagsValues`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct UndefineFlags: u32 {
        /// The image that `virDomainManagedSave` made.
        const MANAGED_SAVE = 1;
        /// What libvirt knows of its snapshots, if it is off.
        const SNAPSHOTS_METADATA = 2;
        /// Its UEFI variables.
        const NVRAM = 4;
        /// Not its UEFI variables.
        const KEEP_NVRAM = 8;
        /// What libvirt knows of its checkpoints, if it is off.
        const CHECKPOINTS_METADATA = 16;
        /// Its TPM's state. Since libvirt 8.9.
        const TPM = 32;
        /// Not its TPM's state. Since libvirt 8.9.
        const KEEP_TPM = 64;
    }
}

bitflags! {
    /// Which XML is wanted (`virDomainXMLFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct XmlFlags: u32 {
        /// With passwords.
        const SECURE = 1;
        /// That of the next start, also while it runs.
        const INACTIVE = 2;
        /// With the host's features in the processor.
        const UPDATE_CPU = 4;
        /// Fit for another host.
        const MIGRATABLE = 8;
    }
}

impl Connection {
    /// All domains that `flags` let through; with none, all (`virConnectListAllDomains`).
    pub async fn list_all_domains(&self, flags: ListFlags) -> Result<Vec<Domain>, Error> {
        // 1: the domains, not only their number. The number follows them.
        let (List(domains), _count) = self
            .call::<(List<Domain, DOMAIN_LIST_MAX>, u32)>(
                Procedure::ConnectListAllDomains,
                (1i32, flags.bits()),
            )
            .await?;
        Ok(domains)
    }

    /// The domain of that name (`virDomainLookupByName`).
    pub async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain, Error> {
        self.call(Procedure::DomainLookupByName, name).await
    }

    /// The domain with that UUID (`virDomainLookupByUUID`).
    pub async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain, Error> {
        self.call(Procedure::DomainLookupByUuid, uuid).await
    }

    /// Takes a configuration, for a new domain or for the one of that name and UUID (`virDomainDefineXMLFlags`).
    pub async fn domain_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<Domain, Error> {
        self.call(Procedure::DomainDefineXmlFlags, (xml, flags.bits())).await
    }

    /// Removes a configuration (`virDomainUndefineFlags`). A domain that runs goes on without one.
    pub async fn domain_undefine(&self, domain: &Domain, flags: UndefineFlags) -> Result<(), Error> {
        self.call(Procedure::DomainUndefineFlags, (domain, flags.bits())).await
    }

    /// A domain's XML (`virDomainGetXMLDesc`).
    pub async fn domain_xml_desc(&self, domain: &Domain, flags: XmlFlags) -> Result<String, Error> {
        self.call(Procedure::DomainGetXmlDesc, (domain, flags.bits())).await
    }

    /// Whether a domain starts with the host (`virDomainGetAutostart`).
    pub async fn domain_autostart(&self, domain: &Domain) -> Result<bool, Error> {
        let autostart: i32 = self.call(Procedure::DomainGetAutostart, domain).await?;
        Ok(autostart != 0)
    }

    /// Lets a domain start with the host, or not (`virDomainSetAutostart`).
    pub async fn domain_set_autostart(&self, domain: &Domain, autostart: bool) -> Result<(), Error> {
        self.call(Procedure::DomainSetAutostart, (domain, i32::from(autostart))).await
    }

    /// Puts an element of its own namespace into a domain's metadata, in place of the one that is there
    /// (`virDomainSetMetadata`). In `element` no namespace is said: libvirt puts all of it into `uri`, by the prefix `key`.
    pub async fn domain_set_metadata(
        &self,
        domain: &Domain,
        element: &str,
        key: &str,
        uri: &str,
        flags: AffectFlags,
    ) -> Result<(), Error> {
        // 2: an element, not the title or the description.
        let arguments = (domain, 2_i32, Some(element), Some(key), Some(uri), flags.bits());
        self.call(Procedure::DomainSetMetadata, arguments).await
    }
}
