//! Statistics of many domains in one call.

use super::domains::DOMAIN_LIST_MAX;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::typed_parameter::{TypedParameter, TypedValue};
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder, List, Slice};
use bitflags::bitflags;

/// How many parameters a domain has at most (`REMOTE_CONNECT_GET_ALL_DOMAIN_STATS_MAX`).
const PARAMETERS_MAX: usize = 262_144;

bitflags! {
    /// Which statistics are wanted (`virDomainStatsTypes`). With none, all that the driver has.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct StatsGroups: u32 {
        /// `state.state`, `state.reason`
        const STATE = 1;
        /// `cpu.time` and the like, in nanoseconds
        const CPU_TOTAL = 2;
        /// `balloon.current` and the like, in KiB
        const BALLOON = 4;
        /// `vcpu.current`, `vcpu.0.state` and the like
        const VCPU = 8;
        /// `net.count`, `net.0.rx.bytes` and the like
        const INTERFACE = 16;
        /// `block.count`, `block.0.rd.bytes` and the like
        const BLOCK = 32;
    }
}

/// Statistics of one domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainStats {
    /// Which domain.
    pub domain: Domain,
    /// Its statistics, by name as the page of `virConnectGetAllDomainStats` lists them.
    pub params: Vec<TypedParameter>,
}

impl DomainStats {
    /// The value of that name.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&TypedValue> {
        self.params.iter().find(|parameter| parameter.field == field).map(|parameter| &parameter.value)
    }
}

impl Connection {
    /// Statistics of these domains; with none named, of all (`virConnectGetAllDomainStats`).
    pub async fn all_domain_stats(
        &self,
        of: &[Domain],
        groups: StatsGroups,
    ) -> Result<Vec<DomainStats>, Error> {
        let arguments = (Slice::<_, DOMAIN_LIST_MAX>(of), groups.bits(), 0u32);
        let List(stats) =
            self.call::<List<_, DOMAIN_LIST_MAX>>(Procedure::ConnectGetAllDomainStats, arguments).await?;
        Ok(stats)
    }
}

impl Decode for DomainStats {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (domain, List(params)) = <(_, List<_, PARAMETERS_MAX>)>::decode(from)?;
        Ok(Self { domain, params })
    }
}
