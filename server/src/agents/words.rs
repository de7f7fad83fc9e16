//! Which words of the agents' protocol are which words of the public API. Matches, so that a new word on either side
//! does not compile until it is answered here.

use agent_protocol::vm as agent;
use agent_protocol::volume as agent_volume;
use server_api::{vm, volume};

macro_rules! same {
    ($to:ident, $from:ident: $ours:path => $theirs:path { $($word:ident),+ }) => {
        same!($from: $theirs => $ours { $($word),+ });

        /// For the agent.
        #[must_use]
        pub fn $to(word: $ours) -> $theirs {
            use $ours as Ours;
            use $theirs as Theirs;
            match word { $(Ours::$word => Theirs::$word),+ }
        }
    };
    ($from:ident: $theirs:path => $ours:path { $($word:ident),+ }) => {
        /// From the agent.
        #[must_use]
        pub fn $from(word: $theirs) -> $ours {
            use $ours as Ours;
            use $theirs as Theirs;
            match word { $(Theirs::$word => Ours::$word),+ }
        }
    };
}

macro_rules! to_agent {
    ($to:ident: $ours:path => $theirs:path { $($word:ident),+ }) => {
        /// For the agent.
        #[must_use]
        pub fn $to(word: $ours) -> $theirs {
            use $ours as Ours;
            use $theirs as Theirs;
            match word { $(Ours::$word => Theirs::$word),+ }
        }
    };
}

same!(format_to_agent, format: volume::Format => agent::Format { Raw, Qcow2 });
same!(choice_to_agent, choice: vm::CacheChoice => agent::CacheChoice {
    Auto, None, Writeback, Writethrough, Directsync, Unsafe
});
same!(cache: agent::CacheMode => vm::CacheMode { None, Writeback, Writethrough, Directsync, Unsafe });
same!(accel: agent::Accel => vm::AccelChoice { Kvm, Tcg });
same!(state: agent::State => vm::VmState { Shutoff, Running, Paused, Shutdown, Crashed, Pmsuspended });
to_agent!(machine: vm::Machine => agent::Machine { Q35, I440fx });
to_agent!(firmware: vm::Firmware => agent::Firmware { Bios, Uefi });
to_agent!(accel_choice: vm::AccelChoice => agent::AccelChoice { Auto, Kvm, Tcg });
to_agent!(guest: vm::Guest => agent::Guest { Linux, Windows });
to_agent!(boot: vm::BootDevice => agent::BootDevice { Hd, Cdrom, Network });
to_agent!(bus: vm::DiskBus => agent::DiskBus { Virtio, Scsi, Sata });
to_agent!(model: vm::NicModel => agent::InterfaceModel { Virtio, E1000e, E1000 });

/// An image under a volume.
#[must_use]
pub fn backing(path: &str, format: volume::Format) -> agent_volume::Backing {
    agent_volume::Backing { path: path.to_owned(), format: format_to_agent(format) }
}
