//! The table of procedures. This is the only place with their numbers: a wrong one may be another call that
//! destroys what it should show. Each is shown by a test against libvirt that calls it and asks `virsh` what
//! happened; a test beside this table makes sure that none is left out.
//!
//! The numbers are facts of the wire protocol: one is never changed or used again, so that a client of today speaks
//! to every libvirt, and an older libvirt answers a procedure that it lacks with an error.

/// A family of procedures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// libvirt's own.
    Remote,
    /// What only QEMU has.
    Qemu,
    /// Signs of life.
    Keepalive,
}

impl Program {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Remote => 0x2000_8086,
            Self::Qemu => 0x2000_8087,
            Self::Keepalive => 0x6b65_6570,
        }
    }

    /// The version that this client speaks. There has only ever been one.
    pub(crate) const fn version(self) -> u32 {
        match self {
            Self::Remote | Self::Qemu | Self::Keepalive => 1,
        }
    }
}

macro_rules! procedures {
    ($($program:ident { $($variant:ident = $number:literal $name:literal,)+ })+) => {
        /// A procedure that this client calls, or a message that it gets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "libvirt's own names, told by `name`")]
        pub enum Procedure { $($($variant,)+)+ }

        impl Procedure {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$variant,)+)+];

            /// The family it belongs to.
            #[must_use]
            pub const fn program(self) -> Program {
                match self { $($(Self::$variant => Program::$program,)+)+ }
            }

            /// Its number within its family.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $($(Self::$variant => $number,)+)+ }
            }

            /// Its name in libvirt, without the prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$variant => $name,)+)+ }
            }

            /// The procedure with these numbers.
            #[must_use]
            pub fn find(program: u32, number: i32) -> Option<Self> {
                let matches = |one: &Self| one.program().number() == program && one.number() == number;
                Self::ALL.iter().copied().find(matches)
            }
        }
    };
}

procedures! {
    Remote {
        ConnectOpen = 1 "CONNECT_OPEN",
        ConnectClose = 2 "CONNECT_CLOSE",
        ConnectGetVersion = 4 "CONNECT_GET_VERSION",
        NodeGetInfo = 6 "NODE_GET_INFO",
        ConnectGetCapabilities = 7 "CONNECT_GET_CAPABILITIES",
        DomainCreateXml = 10 "DOMAIN_CREATE_XML",
        DomainGetXmlDesc = 14 "DOMAIN_GET_XML_DESC",
        DomainGetAutostart = 15 "DOMAIN_GET_AUTOSTART",
        DomainGetInfo = 16 "DOMAIN_GET_INFO",
        DomainGetMaxMemory = 17 "DOMAIN_GET_MAX_MEMORY",
        DomainLookupByName = 23 "DOMAIN_LOOKUP_BY_NAME",
        DomainLookupByUuid = 24 "DOMAIN_LOOKUP_BY_UUID",
        DomainReboot = 27 "DOMAIN_REBOOT",
        DomainResume = 28 "DOMAIN_RESUME",
        DomainSetAutostart = 29 "DOMAIN_SET_AUTOSTART",
        DomainSuspend = 34 "DOMAIN_SUSPEND",
        ConnectGetHostname = 59 "CONNECT_GET_HOSTNAME",
        ConnectSupportsFeature = 60 "CONNECT_SUPPORTS_FEATURE",
        DomainBlockStats = 64 "DOMAIN_BLOCK_STATS",
        DomainInterfaceStats = 65 "DOMAIN_INTERFACE_STATS",
        AuthList = 66 "AUTH_LIST",
        ConnectGetLibVersion = 157 "CONNECT_GET_LIB_VERSION",
        DomainMemoryStats = 159 "DOMAIN_MEMORY_STATS",
        DomainAttachDeviceFlags = 160 "DOMAIN_ATTACH_DEVICE_FLAGS",
        DomainDetachDeviceFlags = 161 "DOMAIN_DETACH_DEVICE_FLAGS",
        DomainUpdateDeviceFlags = 174 "DOMAIN_UPDATE_DEVICE_FLAGS",
        DomainGetBlockInfo = 194 "DOMAIN_GET_BLOCK_INFO",
        DomainCreateWithFlags = 196 "DOMAIN_CREATE_WITH_FLAGS",
        DomainSetVcpusFlags = 199 "DOMAIN_SET_VCPUS_FLAGS",
        DomainGetVcpusFlags = 200 "DOMAIN_GET_VCPUS_FLAGS",
        DomainOpenConsole = 201 "DOMAIN_OPEN_CONSOLE",
        DomainSetMemoryFlags = 204 "DOMAIN_SET_MEMORY_FLAGS",
        DomainGetState = 212 "DOMAIN_GET_STATE",
        DomainMigrateBegin3 = 213 "DOMAIN_MIGRATE_BEGIN3",
        DomainSendKey = 226 "DOMAIN_SEND_KEY",
        DomainUndefineFlags = 231 "DOMAIN_UNDEFINE_FLAGS",
        DomainDestroyFlags = 234 "DOMAIN_DESTROY_FLAGS",
        DomainBlockStatsFlags = 243 "DOMAIN_BLOCK_STATS_FLAGS",
        DomainReset = 245 "DOMAIN_RESET",
        DomainBlockResize = 251 "DOMAIN_BLOCK_RESIZE",
        DomainSetBlockIoTune = 252 "DOMAIN_SET_BLOCK_IO_TUNE",
        DomainGetBlockIoTune = 253 "DOMAIN_GET_BLOCK_IO_TUNE",
        DomainShutdownFlags = 258 "DOMAIN_SHUTDOWN_FLAGS",
        DomainSetMetadata = 264 "DOMAIN_SET_METADATA",
        ConnectListAllDomains = 273 "CONNECT_LIST_ALL_DOMAINS",
        ConnectDomainEventCallbackRegisterAny = 316 "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY",
        ConnectDomainEventCallbackDeregisterAny = 317 "CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY",
        DomainEventCallbackLifecycle = 318 "DOMAIN_EVENT_CALLBACK_LIFECYCLE",
        DomainEventCallbackReboot = 319 "DOMAIN_EVENT_CALLBACK_REBOOT",
        DomainEventCallbackIoErrorReason = 324 "DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON",
        DomainEventCallbackTrayChange = 328 "DOMAIN_EVENT_CALLBACK_TRAY_CHANGE",
        DomainEventCallbackDeviceRemoved = 333 "DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED",
        DomainEventBlockJob2 = 339 "DOMAIN_EVENT_BLOCK_JOB_2",
        ConnectGetDomainCapabilities = 342 "CONNECT_GET_DOMAIN_CAPABILITIES",
        ConnectGetAllDomainStats = 344 "CONNECT_GET_ALL_DOMAIN_STATS",
        DomainEventCallbackAgentLifecycle = 348 "DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE",
        DomainDefineXmlFlags = 350 "DOMAIN_DEFINE_XML_FLAGS",
        DomainInterfaceAddresses = 353 "DOMAIN_INTERFACE_ADDRESSES",
        DomainEventCallbackDeviceAdded = 354 "DOMAIN_EVENT_CALLBACK_DEVICE_ADDED",
        DomainGetMessages = 426 "DOMAIN_GET_MESSAGES",
    }
    Qemu {
        QemuDomainMonitorCommand = 1 "DOMAIN_MONITOR_COMMAND",
        QemuDomainAgentCommand = 3 "DOMAIN_AGENT_COMMAND",
    }
    Keepalive {
        KeepalivePing = 1 "PING",
        KeepalivePong = 2 "PONG",
    }
}
