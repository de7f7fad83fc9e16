//! Memory and processors of a domain.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::numbered::numbered;
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder, List};
use bitflags::bitflags;

/// How many statistics of memory there are at most (`REMOTE_DOMAIN_MEMORY_STATS_MAX`).
const STATS_MAX: usize = 1024;

bitflags! {
    /// What is changed or asked about (`virDomainModificationImpact`). With none, what the domain is now.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AffectFlags: u32 {
        /// The running domain.
        const LIVE = 1;
        /// Its configuration.
        const CONFIG = 2;
    }
}

bitflags! {
    /// Which memory is set (`virDomainMemoryModFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MemoryFlags: u32 {
        /// That of the running domain.
        const LIVE = 1;
        /// That of its configuration.
        const CONFIG = 2;
        /// The most it may have.
        const MAXIMUM = 4;
    }
}

bitflags! {
    /// Which processors are set or asked about (`virDomainVcpuFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VcpuFlags: u32 {
        /// Those of the running domain.
        const LIVE = 1;
        /// Those of its configuration.
        const CONFIG = 2;
        /// The most it may have.
        const MAXIMUM = 4;
        /// Those that the guest uses, by its agent.
        const GUEST = 8;
        /// New ones can be removed again.
        const HOTPLUGGABLE = 16;
    }
}

/// One number about a domain's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStatistic {
    /// Which.
    pub tag: MemoryStatisticTag,
    /// KiB, but for faults, which are counted, and the last update, which is in seconds since 1970.
    pub value: u64,
}

numbered! {
    /// A number about a domain's memory (`virDomainMemoryStatTags`).
    MemoryStatisticTag {
        /// Swapped in, as the guest says.
        SwapIn = 0,
        /// Swapped out, as the guest says.
        SwapOut = 1,
        /// Faults that needed a disk, as the guest says.
        MajorFault = 2,
        /// Other faults, as the guest says.
        MinorFault = 3,
        /// Left completely unused by the guest.
        Unused = 4,
        /// What the guest sees at all.
        Available = 5,
        /// What the balloon leaves.
        ActualBalloon = 6,
        /// What QEMU has of the host's memory.
        Rss = 7,
        /// What the guest could use without swapping.
        Usable = 8,
        /// When the guest said so.
        LastUpdate = 9,
        /// What the guest's disks are cached in.
        DiskCaches = 10,
        /// Huge pages that the guest got.
        HugetlbPgalloc = 11,
        /// Huge pages that it did not get.
        HugetlbPgfail = 12,
    }
}

impl Connection {
    /// The most memory a domain may have, in KiB (`virDomainGetMaxMemory`).
    pub async fn domain_max_memory(&self, domain: &Domain) -> Result<u64, Error> {
        self.call(Procedure::DomainGetMaxMemory, domain).await
    }

    /// Sets a domain's memory, in KiB (`virDomainSetMemoryFlags`). A running guest's balloon follows when it can.
    pub async fn domain_set_memory(
        &self,
        domain: &Domain,
        memory_kib: u64,
        flags: MemoryFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainSetMemoryFlags, (domain, memory_kib, flags.bits())).await
    }

    /// What is known of a running domain's memory (`virDomainMemoryStats`).
    pub async fn domain_memory_stats(&self, domain: &Domain) -> Result<Vec<MemoryStatistic>, Error> {
        let List(stats) = self
            .call::<List<_, STATS_MAX>>(Procedure::DomainMemoryStats, (domain, STATS_MAX as u32, 0u32))
            .await?;
        Ok(stats)
    }

    /// How many processors a domain has (`virDomainGetVcpusFlags`).
    pub async fn domain_vcpus(&self, domain: &Domain, flags: VcpuFlags) -> Result<u32, Error> {
        self.call(Procedure::DomainGetVcpusFlags, (domain, flags.bits())).await
    }

    /// Sets how many processors a domain has (`virDomainSetVcpusFlags`).
    pub async fn domain_set_vcpus(&self, domain: &Domain, vcpus: u32, flags: VcpuFlags) -> Result<(), Error> {
        self.call(Procedure::DomainSetVcpusFlags, (domain, vcpus, flags.bits())).await
    }
}

impl Decode for MemoryStatistic {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (tag, value) = Decode::decode(from)?;
        Ok(Self { tag, value })
    }
}
