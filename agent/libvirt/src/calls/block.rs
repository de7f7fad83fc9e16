//! Disks of a domain: sizes, statistics, limits. A disk is named by its target, `vda`, or by its image's path.

use crate::calls::memory::AffectFlags;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::typed_parameter::{STRING_OKAY, TypedParameter};
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder, List, Slice};
use bitflags::bitflags;

/// How many statistics a disk has at most (`REMOTE_DOMAIN_BLOCK_STATS_PARAMETERS_MAX`).
const STATS_MAX: usize = 16;

/// How many limits a disk has at most (`REMOTE_DOMAIN_BLOCK_IO_TUNE_PARAMETERS_MAX`).
const TUNE_MAX: usize = 32;

bitflags! {
    /// How a size is given (`virDomainBlockResizeFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct BlockResizeFlags: u32 {
        /// In bytes, not in KiB.
        const BYTES = 1;
    }
}

/// How big a disk is (`virDomainBlockInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// What the guest sees, in bytes.
    pub capacity_bytes: u64,
    /// What the image takes of the host's storage, in bytes.
    pub allocation_bytes: u64,
    /// The image's length on the host, in bytes.
    pub physical_bytes: u64,
}

/// What a disk has done (`virDomainBlockStatsStruct`). -1 where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockStats {
    /// Read requests.
    pub rd_req: i64,
    /// Read bytes.
    pub rd_bytes: i64,
    /// Write requests.
    pub wr_req: i64,
    /// Written bytes.
    pub wr_bytes: i64,
    /// Errors. Only Xen counts them.
    pub errs: i64,
}

impl Connection {
    /// How big a disk is (`virDomainGetBlockInfo`).
    pub async fn domain_block_info(&self, domain: &Domain, disk: &str) -> Result<BlockInfo, Error> {
        self.call(Procedure::DomainGetBlockInfo, (domain, disk, 0u32)).await
    }

    /// What a disk has done; with an empty name, all of the domain's (`virDomainBlockStats`).
    pub async fn domain_block_stats(&self, domain: &Domain, disk: &str) -> Result<BlockStats, Error> {
        self.call(Procedure::DomainBlockStats, (domain, disk)).await
    }

    /// The same with times and flushes, by name: `rd_total_times`, in nanoseconds, and so on
    /// (`virDomainBlockStatsFlags`).
    pub async fn domain_block_stats_flags(
        &self,
        domain: &Domain,
        disk: &str,
    ) -> Result<Vec<TypedParameter>, Error> {
        let arguments = (domain, disk, STATS_MAX as i32, STRING_OKAY);
        let (List(stats), _count) =
            self.call::<(List<_, STATS_MAX>, i32)>(Procedure::DomainBlockStatsFlags, arguments).await?;
        Ok(stats)
    }

    /// Gives a disk of a running domain another size: in KiB, with [`BlockResizeFlags::BYTES`] in bytes
    /// (`virDomainBlockResize`).
    pub async fn domain_block_resize(
        &self,
        domain: &Domain,
        disk: &str,
        size: u64,
        flags: BlockResizeFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainBlockResize, (domain, disk, size, flags.bits())).await
    }

    /// A disk's limits, by name: `total_iops_sec` and so on, 0 for none (`virDomainGetBlockIoTune`).
    pub async fn domain_block_io_tune(
        &self,
        domain: &Domain,
        disk: &str,
        flags: AffectFlags,
    ) -> Result<Vec<TypedParameter>, Error> {
        let arguments = (domain, Some(disk), TUNE_MAX as i32, flags.bits() | STRING_OKAY);
        let (List(tune), _count) =
            self.call::<(List<_, TUNE_MAX>, i32)>(Procedure::DomainGetBlockIoTune, arguments).await?;
        Ok(tune)
    }

    /// Sets some of a disk's limits (`virDomainSetBlockIoTune`).
    pub async fn domain_set_block_io_tune(
        &self,
        domain: &Domain,
        disk: &str,
        tune: &[TypedParameter],
        flags: AffectFlags,
    ) -> Result<(), Error> {
        self.call(Procedure::DomainSetBlockIoTune, (domain, disk, Slice::<_, TUNE_MAX>(tune), flags.bits()))
            .await
    }
}

impl Decode for BlockInfo {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (allocation_bytes, capacity_bytes, physical_bytes) = Decode::decode(from)?;
        Ok(Self { capacity_bytes, allocation_bytes, physical_bytes })
    }
}

impl Decode for BlockStats {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (rd_req, rd_bytes, wr_req, wr_bytes, errs) = Decode::decode(from)?;
        Ok(Self { rd_req, rd_bytes, wr_req, wr_bytes, errs })
    }
}
