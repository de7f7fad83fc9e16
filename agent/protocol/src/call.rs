//! The table of calls. A call is a POST of a [`Request`](crate::envelope::Request) to its path, answered by a
//! [`Reply`](crate::envelope::Reply). A new call is one line in the table, its types in the file of its subject, and one
//! golden file. Whoever needs all calls with their types writes an [`Each`], so that none can be forgotten.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{cache, migration, survey, vm, volume};

/// One call, as a type.
pub trait Call: 'static {
    /// What people call it, and the name of its golden file.
    const NAME: &'static str;
    /// Where it is posted.
    const PATH: &'static str;
    /// What a second request with the same operation id means.
    const REPEAT: Repeat;
    /// What the server asks.
    type Request: Serialize + DeserializeOwned + Clone + Send + 'static;
    /// What the agent answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// What an agent does with a request whose operation id it has seen before. Whoever answers calls matches on this, so
/// that a call that changes something cannot be added without an answer to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It looks, and at most makes what may as well be there already: the answer is made anew.
    Anew,
    /// It changes something: a repeat gets the answer of the first, and one whose first was cut short carries on where
    /// that one stopped.
    Remembered,
}

/// Something done with each call of the table.
pub trait Each {
    /// Does it with one.
    fn call<C: Call>(&mut self);
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $text:literal, $path:literal, $repeat:ident, $request:ty => $reply:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}

            impl Call for $name {
                const NAME: &'static str = $text;
                const PATH: &'static str = $path;
                const REPEAT: Repeat = Repeat::$repeat;
                type Request = $request;
                type Reply = $reply;
            }
        )+

        /// Names and paths of all calls, in the order of the table.
        pub const ALL: &[(&str, &str)] = &[$(($text, $path)),+];

        /// Does something with each call, in the order of the table.
        pub fn each(what: &mut impl Each) {
            $(what.call::<$name>();)+
        }
    };
}

calls! {
    /// What this host is and can do.
    HostFacts: "host-facts", "/v3/host/facts", Anew, crate::host::FactsRequest => crate::host::Facts;
    /// What a new certificate is made of. A new key is behind it each time.
    HostSigningRequest: "host-signing-request", "/v3/host/signing-request", Anew, crate::host::SigningRequest => crate::host::SigningReply;
    /// Take the certificate that was made of the last one.
    HostRenew: "host-renew", "/v3/host/renew", Remembered, crate::host::RenewRequest => vm::Done;

    /// All virtual machines.
    VmList: "vm-list", "/v3/vm/list", Anew, vm::ListRequest => vm::ListReply;
    /// One virtual machine.
    VmShow: "vm-show", "/v3/vm/show", Anew, vm::VmRequest => vm::VmState;
    /// What changes: answered when something has.
    VmWatch: "vm-watch", "/v3/vm/watch", Anew, vm::WatchRequest => vm::WatchReply;
    /// What a guest wrote to its first serial line.
    VmConsole: "vm-console", "/v3/vm/console", Anew, vm::ConsoleRequest => vm::ConsoleReply;
    /// Define a virtual machine.
    VmDefine: "vm-define", "/v3/vm/define", Remembered, vm::DefineRequest => vm::VmState;
    /// Turn it on.
    VmStart: "vm-start", "/v3/vm/start", Remembered, vm::StartRequest => vm::VmState;
    /// Press its power button and wait until it is off.
    VmShutdown: "vm-shutdown", "/v3/vm/shutdown", Remembered, vm::ButtonRequest => vm::VmState;
    /// Cut its power.
    VmDestroy: "vm-destroy", "/v3/vm/destroy", Remembered, vm::VmRequest => vm::VmState;
    /// Press its power button and turn it on again.
    VmReboot: "vm-reboot", "/v3/vm/reboot", Remembered, vm::RebootRequest => vm::VmState;
    /// Press its reset button.
    VmReset: "vm-reset", "/v3/vm/reset", Remembered, vm::VmRequest => vm::VmState;
    /// Stop its processors.
    VmSuspend: "vm-suspend", "/v3/vm/suspend", Remembered, vm::VmRequest => vm::VmState;
    /// Let them go on.
    VmResume: "vm-resume", "/v3/vm/resume", Remembered, vm::VmRequest => vm::VmState;
    /// Whether it may migrate, and why not.
    VmMigration: "vm-migration", "/v3/vm/migration", Anew, vm::VmRequest => migration::Migration;
    /// Change the cache modes of its disks while it runs.
    VmChangeCache: "vm-change-cache", "/v3/vm/change-cache", Remembered, vm::ChangeCacheRequest => vm::VmState;
    /// Remove its definition; its volumes stay.
    VmUndefine: "vm-undefine", "/v3/vm/undefine", Remembered, vm::VmRequest => vm::Done;
    /// Add a disk.
    VmAttachDisk: "vm-attach-disk", "/v3/vm/attach-disk", Remembered, vm::AttachRequest => vm::VmState;
    /// Remove a disk.
    VmDetachDisk: "vm-detach-disk", "/v3/vm/detach-disk", Remembered, vm::DetachRequest => vm::VmState;
    /// Lay an image into a CD-ROM drive.
    VmInsertMedia: "vm-insert-media", "/v3/vm/insert-media", Remembered, vm::InsertRequest => vm::VmState;
    /// Empty a CD-ROM drive.
    VmEjectMedia: "vm-eject-media", "/v3/vm/eject-media", Remembered, vm::EjectRequest => vm::VmState;

    /// In which mode disks would be opened.
    CacheJudge: "cache-judge", "/v3/cache/judge", Anew, cache::JudgeRequest => cache::JudgeReply;

    /// One volume.
    VolumeShow: "volume-show", "/v3/volume/show", Anew, volume::VolumeRequest => volume::Volume;
    /// Make a volume.
    VolumeCreate: "volume-create", "/v3/volume/create", Remembered, volume::CreateRequest => volume::Volume;
    /// Make it bigger.
    VolumeResize: "volume-resize", "/v3/volume/resize", Remembered, volume::ResizeRequest => volume::Volume;
    /// Remove it.
    VolumeDelete: "volume-delete", "/v3/volume/delete", Remembered, volume::PathRequest => vm::Done;
    /// Copy an image into a storage.
    ImageImport: "image-import", "/v3/image/import", Remembered, volume::ImportRequest => volume::Image;
    /// What a folder offers; it is made if only it is missing.
    FolderShow: "folder-show", "/v3/folder/show", Anew, volume::PathRequest => volume::Folder;
    /// What a folder that is there is worth for disks. It takes seconds, and leaves nothing.
    FolderSurvey: "folder-survey", "/v3/folder/survey", Anew, volume::PathRequest => survey::Survey;
}
