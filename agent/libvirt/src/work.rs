//! What libvirt has to do for a call, as far as it decides how long that may take, and behind what else it may wait.

use crate::wire::Procedure;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It tells what it knows: soon, whatever domains do.
    Looks,
    /// It asks QEMU, the guest or storage, and changes nothing: such a call may hang, and can be given up.
    Asks,
    /// It changes something: such a call may hang, and giving it up tells nothing about what was done.
    Changes,
}

impl Procedure {
    /// What it makes libvirt do.
    pub(crate) const fn work(self) -> Work {
        match self {
            Self::ConnectOpen
            | Self::ConnectClose
            | Self::ConnectGetVersion
            | Self::NodeGetInfo
            | Self::ConnectGetCapabilities
            | Self::ConnectGetHostname
            | Self::ConnectSupportsFeature
            | Self::AuthList
            | Self::ConnectGetLibVersion
            | Self::ConnectGetDomainCapabilities
            | Self::ConnectListAllDomains
            | Self::ConnectDomainEventCallbackRegisterAny
            | Self::ConnectDomainEventCallbackDeregisterAny
            | Self::DomainGetXmlDesc
            | Self::DomainGetAutostart
            | Self::DomainGetInfo
            | Self::DomainGetMaxMemory
            | Self::DomainLookupByName
            | Self::DomainLookupByUuid
            | Self::DomainGetState
            | Self::DomainGetMessages
            // Messages, which are not called.
            | Self::DomainEventCallbackLifecycle
            | Self::DomainEventCallbackReboot
            | Self::DomainEventCallbackIoErrorReason
            | Self::DomainEventCallbackTrayChange
            | Self::DomainEventCallbackDeviceRemoved
            | Self::DomainEventBlockJob2
            | Self::DomainEventCallbackAgentLifecycle
            | Self::DomainEventCallbackDeviceAdded
            | Self::KeepalivePing
            | Self::KeepalivePong => Work::Looks,
            Self::DomainBlockStats
            | Self::DomainBlockStatsFlags
            | Self::DomainInterfaceStats
            | Self::DomainInterfaceAddresses
            | Self::DomainMemoryStats
            | Self::DomainGetBlockInfo
            | Self::DomainGetBlockIoTune
            | Self::DomainGetVcpusFlags
            | Self::DomainMigrateBegin3
            | Self::ConnectGetAllDomainStats => Work::Asks,
            Self::DomainCreateXml
            | Self::DomainCreateWithFlags
            | Self::DomainReboot
            | Self::DomainReset
            | Self::DomainResume
            | Self::DomainSuspend
            | Self::DomainShutdownFlags
            | Self::DomainDestroyFlags
            | Self::DomainDefineXmlFlags
            | Self::DomainUndefineFlags
            | Self::DomainSetAutostart
            | Self::DomainSetMetadata
            | Self::DomainSetVcpusFlags
            | Self::DomainSetMemoryFlags
            | Self::DomainAttachDeviceFlags
            | Self::DomainDetachDeviceFlags
            | Self::DomainUpdateDeviceFlags
            | Self::DomainBlockResize
            | Self::DomainSetBlockIoTune
            | Self::DomainOpenConsole
            | Self::DomainSendKey
            | Self::QemuDomainMonitorCommand
            // How long the guest may take is said in the call.
            | Self::QemuDomainAgentCommand => Work::Changes,
        }
    }
}
