//! How a domain is.

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

numbered! {
    /// Why a domain runs (`virDomainRunningReason`).
    RunningReason {
        /// It is not known.
        Unknown = 0,
        /// It booted.
        Booted = 1,
        /// It came from another host.
        Migrated = 2,
        /// It was restored from a file.
        Restored = 3,
        /// It came from a snapshot.
        FromSnapshot = 4,
        /// It was paused and resumed.
        Unpaused = 5,
        /// Its migration was canceled.
        MigrationCanceled = 6,
        /// Its saving was canceled.
        SaveCanceled = 7,
        /// It woke up.
        Wakeup = 8,
        /// It crashed and goes on.
        Crashed = 9,
        /// It came from another host in post-copy mode.
        PostCopy = 10,
        /// That failed.
        PostCopyFailed = 11,
    }
}

numbered! {
    /// Why a domain is paused (`virDomainPausedReason`).
    PausedReason {
        /// It is not known.
        Unknown = 0,
        /// Someone paused it.
        User = 1,
        /// It goes to another host.
        Migration = 2,
        /// It is being saved.
        Save = 3,
        /// It is being dumped.
        Dump = 4,
        /// A disk failed.
        IoError = 5,
        /// Its watchdog fired.
        Watchdog = 6,
        /// It came paused from a snapshot.
        FromSnapshot = 7,
        /// It is going down.
        ShuttingDown = 8,
        /// A snapshot is being made.
        Snapshot = 9,
        /// It crashed.
        Crashed = 10,
        /// It is coming up.
        StartingUp = 11,
        /// It goes to another host in post-copy mode.
        PostCopy = 12,
        /// That failed.
        PostCopyFailed = 13,
    }
}

numbered! {
    /// Why a domain is shutting down (`virDomainShutdownReason`).
    ShutdownReason {
        /// It is not known.
        Unknown = 0,
        /// Someone wanted it.
        User = 1,
    }
}

numbered! {
    /// Why a domain is off (`virDomainShutoffReason`).
    ShutoffReason {
        /// It is not known, or it has never run.
        Unknown = 0,
        /// The guest shut down.
        Shutdown = 1,
        /// Someone destroyed it.
        Destroyed = 2,
        /// It crashed.
        Crashed = 3,
        /// It went to another host.
        Migrated = 4,
        /// It was saved to a file.
        Saved = 5,
        /// It did not start.
        Failed = 6,
        /// A snapshot of when it was off was loaded.
        FromSnapshot = 7,
        /// The daemon ended it.
        Daemon = 8,
    }
}

numbered! {
    /// How a domain crashed (`virDomainCrashedReason`).
    CrashedReason {
        /// It is not known.
        Unknown = 0,
        /// The guest panicked.
        Panicked = 1,
    }
}
