//! Why a domain is in its state.

use crate::numbered::numbered;

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
        /// libvirt could not resume it after it had paused it for a call. Since libvirt 9.2.
        ApiError = 14,
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
