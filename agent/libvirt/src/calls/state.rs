//! How a domain is.

use super::reason::{CrashedReason, PausedReason, RunningReason, ShutdownReason, ShutoffReason};
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::numbered::numbered;
use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Decoder};

/// A domain's state and its reason (`virDomainState`).
///
/// ```text
///            create              suspend, disk error
///   Shutoff ---------> Running <--------------------> Paused
///      ^                  |          resume             |
///      |                  v guest shuts down            |
///      +------------- Shutdown <------------------------+   destroy: from everywhere to Shutoff
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// It is not known.
    NoState,
    /// It runs.
    Running(RunningReason),
    /// It waits for a resource.
    Blocked,
    /// Its processors stand still.
    Paused(PausedReason),
    /// The guest is shutting down.
    Shutdown(ShutdownReason),
    /// It is off.
    Shutoff(ShutoffReason),
    /// It crashed.
    Crashed(CrashedReason),
    /// The guest sleeps.
    PmSuspended,
    /// Something that this crate has no name for.
    Other {
        /// Which state.
        state: i32,
        /// Why.
        reason: i32,
    },
}

/// A domain in a few numbers (`virDomainInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its state, without a reason.
    pub state: StateNumber,
    /// The most memory it may have, in KiB.
    pub max_memory_kib: u64,
    /// The memory it has, in KiB.
    pub memory_kib: u64,
    /// Its processors.
    pub vcpus: u32,
    /// What it used of the host's processors, in nanoseconds.
    pub cpu_time_ns: u64,
}

impl Connection {
    /// A domain's state, and why it is in it (`virDomainGetState`).
    pub async fn domain_state(&self, domain: &Domain) -> Result<DomainState, Error> {
        self.call(Procedure::DomainGetState, (domain, 0u32)).await
    }

    /// A domain in a few numbers (`virDomainGetInfo`).
    pub async fn domain_info(&self, domain: &Domain) -> Result<DomainInfo, Error> {
        self.call(Procedure::DomainGetInfo, domain).await
    }
}

impl Decode for DomainState {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (state, reason) = <(StateNumber, i32)>::decode(from)?;
        Ok(match state {
            StateNumber::NoState => Self::NoState,
            StateNumber::Running => Self::Running(reason.into()),
            StateNumber::Blocked => Self::Blocked,
            StateNumber::Paused => Self::Paused(reason.into()),
            StateNumber::Shutdown => Self::Shutdown(reason.into()),
            StateNumber::Shutoff => Self::Shutoff(reason.into()),
            StateNumber::Crashed => Self::Crashed(reason.into()),
            StateNumber::PmSuspended => Self::PmSuspended,
            StateNumber::Other(state) => Self::Other { state, reason },
        })
    }
}

impl Decode for DomainInfo {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        // The state is a char and the count of processors a short; XDR makes a word of either.
        let (state, max_memory_kib, memory_kib, vcpus, cpu_time_ns) = Decode::decode(from)?;
        Ok(Self { state, max_memory_kib, memory_kib, vcpus, cpu_time_ns })
    }
}

numbered! {
    /// A domain's state without a reason (`virDomainState`).
    StateNumber {
        /// It is not known.
        NoState = 0,
        /// It runs.
        Running = 1,
        /// It waits for a resource.
        Blocked = 2,
        /// Its processors stand still.
        Paused = 3,
        /// The guest is shutting down.
        Shutdown = 4,
        /// It is off.
        Shutoff = 5,
        /// It crashed.
        Crashed = 6,
        /// The guest sleeps.
        PmSuspended = 7,
    }
}
