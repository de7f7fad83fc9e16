//! What a lifecycle event tells: libvirt's pairs of event and detail (`virDomainEventType` and the detail types of
//! each), as one type.

use crate::numbered::numbered;
use crate::xdr::{Decode, DecodeError, Decoder};

/// What happened in a domain's life, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Its configuration is there, or another.
    Defined(DefinedDetail),
    /// Its configuration is gone.
    Undefined(UndefinedDetail),
    /// It runs, or is paused at its first instruction.
    Started(StartedDetail),
    /// Its processors stand still.
    Suspended(SuspendedDetail),
    /// They go on.
    Resumed(ResumedDetail),
    /// It is off.
    Stopped(StoppedDetail),
    /// The guest has finished, and the domain is about to stop.
    Shutdown(ShutdownDetail),
    /// The guest sleeps.
    PmSuspended(PmSuspendedDetail),
    /// The guest crashed.
    Crashed(CrashedDetail),
    /// Something that this crate has no name for.
    Other {
        /// Which event.
        event: i32,
        /// Its detail.
        detail: i32,
    },
}

impl Decode for Lifecycle {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (event, detail) = <(i32, i32)>::decode(from)?;
        Ok(match event {
            0 => Self::Defined(detail.into()),
            1 => Self::Undefined(detail.into()),
            2 => Self::Started(detail.into()),
            3 => Self::Suspended(detail.into()),
            4 => Self::Resumed(detail.into()),
            5 => Self::Stopped(detail.into()),
            6 => Self::Shutdown(detail.into()),
            7 => Self::PmSuspended(detail.into()),
            8 => Self::Crashed(detail.into()),
            event => Self::Other { event, detail },
        })
    }
}

numbered! {
    /// Why a domain is defined.
    DefinedDetail {
        /// It is new.
        Added = 0,
        /// Its configuration changed.
        Updated = 1,
        /// It has another name.
        Renamed = 2,
        /// It came from a snapshot.
        FromSnapshot = 3,
    }
}

numbered! {
    /// Why a domain is undefined.
    UndefinedDetail {
        /// It was removed.
        Removed = 0,
        /// It has another name.
        Renamed = 1,
    }
}

numbered! {
    /// How a domain started.
    StartedDetail {
        /// It booted.
        Booted = 0,
        /// It came from another host.
        Migrated = 1,
        /// It was restored from a file.
        Restored = 2,
        /// It came from a snapshot.
        FromSnapshot = 3,
        /// It woke up.
        Wakeup = 4,
    }
}

numbered! {
    /// Why a domain stands still.
    SuspendedDetail {
        /// Someone paused it.
        Paused = 0,
        /// It goes to another host.
        Migrated = 1,
        /// A disk failed.
        IoError = 2,
        /// Its watchdog fired.
        Watchdog = 3,
        /// It was restored paused.
        Restored = 4,
        /// It came paused from a snapshot.
        FromSnapshot = 5,
        /// A call of libvirt failed half way.
        ApiError = 6,
        /// It goes to another host in post-copy mode.
        PostCopy = 7,
        /// That failed.
        PostCopyFailed = 8,
    }
}

numbered! {
    /// Why a domain goes on.
    ResumedDetail {
        /// Someone resumed it.
        Unpaused = 0,
        /// It came from another host.
        Migrated = 1,
        /// It came from a snapshot.
        FromSnapshot = 2,
        /// It came from another host in post-copy mode.
        PostCopy = 3,
        /// That failed.
        PostCopyFailed = 4,
    }
}

numbered! {
    /// Why a domain is off.
    StoppedDetail {
        /// The guest shut down.
        Shutdown = 0,
        /// Someone destroyed it.
        Destroyed = 1,
        /// It crashed.
        Crashed = 2,
        /// It went to another host.
        Migrated = 3,
        /// It was saved to a file.
        Saved = 4,
        /// The hypervisor failed.
        Failed = 5,
        /// A snapshot of when it was off was loaded.
        FromSnapshot = 6,
    }
}

numbered! {
    /// Who shut a domain down.
    ShutdownDetail {
        /// It is not known.
        Finished = 0,
        /// The guest.
        Guest = 1,
        /// The host, by a signal or a call.
        Host = 2,
    }
}

numbered! {
    /// How a guest sleeps.
    PmSuspendedDetail {
        /// To memory.
        Memory = 0,
        /// To disk.
        Disk = 1,
    }
}

numbered! {
    /// How a guest crashed.
    CrashedDetail {
        /// It panicked.
        Panicked = 0,
        /// It panicked and loaded a crash kernel.
        Crashloaded = 1,
    }
}
