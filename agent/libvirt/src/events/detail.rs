//! Details of events that are numbers on the wire; those of a domain's life stand in `lifecycle`.

use crate::numbered::numbered;

numbered! {
    /// What was done about a failed disk (`virDomainEventIOErrorAction`).
    IoErrorAction {
        /// Nothing: the guest goes on and does not know.
        None = 0,
        /// The domain is paused.
        Pause = 1,
        /// The guest was told.
        Report = 2,
    }
}

numbered! {
    /// Which way a tray moved (`virDomainEventTrayChangeReason`).
    TrayReason {
        /// It opened.
        Open = 0,
        /// It closed.
        Close = 1,
    }
}

numbered! {
    /// A job on a disk (`virDomainBlockJobType`).
    BlockJobType {
        /// Its kind is not known.
        Unknown = 0,
        /// From the backing image into the top one.
        Pull = 1,
        /// To another image.
        Copy = 2,
        /// Into a backing image.
        Commit = 3,
        /// Of the top image into a backing one.
        ActiveCommit = 4,
        /// A backup.
        Backup = 5,
    }
}

numbered! {
    /// How a job went on (`virConnectDomainEventBlockJobStatus`).
    BlockJobStatus {
        /// It is done.
        Completed = 0,
        /// It failed.
        Failed = 1,
        /// It was canceled.
        Canceled = 2,
        /// It can be finished: both images are alike.
        Ready = 3,
    }
}

numbered! {
    /// Whether the guest's agent is there (`virConnectDomainEventAgentLifecycleState`).
    AgentState {
        /// It listens.
        Connected = 1,
        /// It does not.
        Disconnected = 2,
    }
}

numbered! {
    /// Why an agent's state is told (`virConnectDomainEventAgentLifecycleReason`).
    AgentReason {
        /// Not known.
        Unknown = 0,
        /// The domain started.
        DomainStarted = 1,
        /// The guest opened or closed the channel.
        Channel = 2,
    }
}
