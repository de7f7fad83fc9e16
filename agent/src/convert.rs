//! Between what is said on the wire and what the hypervisor thinks in. The two are alike today, and this file is all that
//! has to change when one of them does: every match is exhaustive, every struct is taken apart by name.
//!
//! Functions called `to_*` go to the hypervisor, and refuse what has no meaning there; `from_*` go to the wire. A path
//! that is not UTF-8 cannot have come over the wire, and is shown with U+FFFD.

use std::path::{Component, Path, PathBuf};

use agent_hypervisor::cache::CachePlan;
use agent_hypervisor::{Error, Kind, spec, state, storage};
use agent_protocol::envelope::FailureCode;
use agent_protocol::{host, vm, volume};

use crate::convert_cache::{from_effective, to_request, to_sector};
use crate::facts::Machines;
use crate::refusal::Refusal;

/// The same word on the other side.
pub(crate) trait Same<T> {
    fn same(self) -> T;
}

macro_rules! words {
    ($($module:ident::$name:ident { $($variant:ident)+ })+) => {
        $(
            impl Same<$module::$name> for vm::$name {
                fn same(self) -> $module::$name {
                    match self { $(vm::$name::$variant => $module::$name::$variant,)+ }
                }
            }

            impl Same<vm::$name> for $module::$name {
                fn same(self) -> vm::$name {
                    match self { $($module::$name::$variant => vm::$name::$variant,)+ }
                }
            }
        )+
    };
}

words! {
    spec::CacheChoice { Auto None Writeback Writethrough Directsync Unsafe }
    spec::CacheMode { None Writeback Writethrough Directsync Unsafe }
    spec::Machine { Q35 I440fx }
    spec::Firmware { Bios Uefi }
    spec::AccelChoice { Auto Kvm Tcg }
    spec::Accel { Kvm Tcg }
    spec::Guest { Linux Windows }
    spec::BootDevice { Hd Cdrom Network }
    spec::Format { Raw Qcow2 }
    spec::DiskBus { Virtio Scsi Sata }
    spec::InterfaceModel { Virtio E1000e E1000 }
    state::State { Shutoff Running Paused Shutdown Crashed Pmsuspended }
}

/// A path of this host.
///
/// # Errors
/// If it is not absolute, or leads up again: two spellings of one file would be two files to whoever compares them.
pub fn to_path(text: String) -> Result<PathBuf, Error> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && !path.as_os_str().as_encoded_bytes().contains(&0) {
        return Ok(path.components().collect());
    }
    let what = format!("`{}` is no absolute path without `..`", path.display());
    Err(Error::Invalid { what, remedy: "write it from `/` on".to_owned() })
}

pub(crate) fn from_path(path: &Path) -> String {
    path.display().to_string()
}

/// A domain to be defined.
///
/// # Errors
/// [`Error::Invalid`] for a path or hardware address that is none.
pub fn to_spec(vm: vm::Vm) -> Result<spec::DomainSpec, Error> {
    let vm::Vm {
        uuid,
        name,
        memory_bytes,
        vcpus,
        machine,
        firmware,
        accel,
        guest,
        boot,
        disks,
        cdroms,
        interfaces,
    } = vm;
    Ok(spec::DomainSpec {
        uuid,
        name,
        memory_bytes,
        vcpus,
        machine: machine.same(),
        firmware: firmware.same(),
        accel: accel.same(),
        guest: guest.same(),
        boot: boot.into_iter().map(Same::same).collect(),
        disks: disks.into_iter().map(to_disk).collect::<Result<_, _>>()?,
        cdroms: cdroms.into_iter().map(to_cdrom).collect::<Result<_, _>>()?,
        interfaces: interfaces.into_iter().map(to_interface).collect::<Result<_, _>>()?,
    })
}

/// A disk.
///
/// # Errors
/// As [`to_path`].
pub fn to_disk(disk: vm::Disk) -> Result<spec::Disk, Error> {
    let vm::Disk { volume, path, format, bus, cache, sector } = disk;
    let (format, bus) = (format.same(), bus.same());
    let (cache, sector) = (to_request(cache), to_sector(sector));
    Ok(spec::Disk { id: spec::DiskId(volume), source: to_path(path)?, format, bus, cache, sector })
}

fn to_cdrom(drive: vm::CdromDrive) -> Result<spec::CdromDrive, Error> {
    let vm::CdromDrive { cache, media } = drive;
    Ok(spec::CdromDrive { cache: to_request(cache), media: media.map(to_path).transpose()? })
}

/// What is asked of the disks of a domain when it is turned on.
#[must_use]
pub fn to_cache_plan(plan: vm::CachePlan) -> CachePlan {
    let vm::CachePlan { disks, cdroms } = plan;
    CachePlan { disks: disks.iter().map(to_disk_cache).collect(), cdroms: to_request(cdroms) }
}

/// What is asked of a disk.
#[must_use]
pub fn to_disk_cache(disk: &vm::DiskCache) -> (spec::DiskId, spec::CacheRequest) {
    let vm::DiskCache { volume, cache } = disk;
    (spec::DiskId(*volume), to_request(*cache))
}

fn to_interface(interface: vm::Interface) -> Result<spec::Interface, Error> {
    let vm::Interface { mac, bridge, model } = interface;
    let mac = mac.parse().map_err(|spec::NoMac(text)| Error::Invalid {
        what: format!("`{text}` is no hardware address"),
        remedy: "write six pairs of hexadecimal digits with colons, as in `52:54:00:00:00:01`".to_owned(),
    })?;
    Ok(spec::Interface { mac, bridge, model: model.same() })
}

/// A volume to be made.
///
/// # Errors
/// As [`to_path`].
pub fn to_volume_spec(request: volume::CreateRequest) -> Result<storage::VolumeSpec, Error> {
    let volume::CreateRequest { path, format, size_bytes, backing } = request;
    let backing = backing.map(|volume::Backing { path, format }| {
        Ok::<_, Error>(storage::Backing { path: to_path(path)?, format: format.same() })
    });
    let backing = backing.transpose()?;
    Ok(storage::VolumeSpec { path: to_path(path)?, format: format.same(), size_bytes, backing })
}

/// How a domain comes up.
#[must_use]
pub const fn to_start(mode: vm::StartMode) -> agent_hypervisor::lifecycle::Start {
    match mode {
        vm::StartMode::Running => agent_hypervisor::lifecycle::Start::Running,
        vm::StartMode::Paused => agent_hypervisor::lifecycle::Start::Paused,
    }
}

/// A domain as it is.
#[must_use]
pub fn from_domain(domain: state::Domain) -> vm::VmState {
    let state::Domain {
        uuid,
        name,
        state,
        memory_bytes,
        vcpus,
        machine,
        firmware,
        accel,
        disks,
        cdroms,
        interfaces,
        vnc_socket,
        taints,
    } = domain;
    vm::VmState {
        uuid,
        name,
        state: state.same(),
        memory_bytes,
        vcpus,
        machine: machine.same(),
        firmware: firmware.same(),
        accel: accel.same(),
        disks: disks.into_iter().map(from_disk).collect(),
        cdroms: cdroms.into_iter().map(from_cdrom).collect(),
        interfaces: interfaces.into_iter().map(from_interface).collect(),
        vnc_socket: vnc_socket.as_deref().map(from_path),
        taints,
    }
}

fn from_disk(disk: state::DiskState) -> vm::DiskState {
    // What an operator alone can make of a disk is the migration's to know.
    let state::DiskState { id, target, source, format, bus, cache, live, readonly: _, shareable: _ } = disk;
    vm::DiskState {
        volume: id.0,
        target,
        path: from_path(&source),
        format: format.same(),
        bus: bus.same(),
        cache: from_effective(cache),
        live: live.into_iter().map(Same::same).collect(),
    }
}

fn from_cdrom(drive: state::CdromState) -> vm::CdromState {
    let state::CdromState { drive, target, cache, media } = drive;
    let media = media.map(|state::MediaState { source, cache }| vm::MediaState {
        path: from_path(&source),
        cache: from_effective(cache),
    });
    vm::CdromState { drive, target, cache: cache.same(), media }
}

fn from_interface(interface: spec::Interface) -> vm::Interface {
    let spec::Interface { mac, bridge, model } = interface;
    vm::Interface { mac: mac.to_string(), bridge, model: model.same() }
}

/// A stretch of a console log. A character that the end of the stretch cuts is left to the next one, and one that the end of the
/// log cuts until the guest has written the rest of it.
#[must_use]
pub fn from_console(log: &state::ConsoleLog) -> vm::ConsoleReply {
    let state::ConsoleLog { offset, bytes, size } = log;
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let cut = str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    let is_end = offset + bytes.len() as u64 >= *size;
    let bytes =
        if cut && (is_end || last.len() < bytes.len()) { &bytes[..bytes.len() - last.len()] } else { bytes };
    vm::ConsoleReply {
        offset: *offset,
        text: String::from_utf8_lossy(bytes).into_owned(),
        next_offset: offset + bytes.len() as u64,
        size: *size,
    }
}

/// A volume as it is.
#[must_use]
pub fn from_volume(volume: storage::Volume) -> volume::Volume {
    let storage::Volume { path, format, size_bytes, allocated_bytes, backing } = volume;
    let (path, backing) = (from_path(&path), backing.as_deref().map(from_path));
    volume::Volume { path, format: format.same(), size_bytes, allocated_bytes, backing }
}

/// An image that was imported.
#[must_use]
pub fn from_image(image: storage::Image) -> volume::Image {
    let storage::Image { volume, sha256 } = image;
    volume::Image { volume: from_volume(volume), sha256 }
}

/// What a folder offers.
#[must_use]
pub fn from_folder(folder: storage::Folder) -> volume::Folder {
    let storage::Folder { path, file_system, capacity_bytes, available_bytes } = folder;
    volume::Folder { path: from_path(&path), file_system, capacity_bytes, available_bytes }
}

/// What a host can do for domains.
#[must_use]
pub fn from_host(host: state::Host) -> Machines {
    let state::Host { hypervisor, accel, accel_reason, uefi } = host;
    let (version, reason) = match hypervisor {
        Ok(version) => (Some(version), None),
        Err(reason) => (None, Some(reason)),
    };
    Machines {
        hypervisor: host::Hypervisor { version, reason },
        accel: host::Accel { auto: accel.same(), reason: accel_reason },
        uefi,
    }
}

/// Why something was not done.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            Kind::NotFound => FailureCode::NotFound,
            Kind::Exists => FailureCode::Exists,
            Kind::Invalid => FailureCode::Invalid,
            Kind::Unsupported => FailureCode::Unsupported,
            Kind::Conflict => FailureCode::Conflict,
            Kind::DirectIo => FailureCode::DirectIo,
            Kind::LossNotAccepted => FailureCode::LossNotAccepted,
            Kind::GuestSilent => FailureCode::GuestSilent,
            Kind::NoSpace => FailureCode::NoSpace,
            Kind::Unavailable => FailureCode::Unavailable,
            Kind::Interrupted => FailureCode::Interrupted,
            Kind::Failed => FailureCode::Failed,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call of the table is shown with.
    fn golden<T: serde::de::DeserializeOwned>(name: &str, part: &str, inner: &str) -> T {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/golden");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(golden[part][inner].clone()).unwrap()
    }

    #[test]
    fn what_is_asked_for_arrives() {
        let vm::DefineRequest { vm } = golden("vm-define", "request", "arguments");
        let spec = to_spec(vm.clone()).unwrap();
        assert_eq!((spec.name.as_str(), spec.firmware), ("web-1", spec::Firmware::Uefi));
        assert_eq!(spec.disks[0].source.to_str(), Some(vm.disks[0].path.as_str()));
        assert_eq!(
            (spec.disks[0].cache.choice, spec.disks[0].cache.origin),
            (spec::CacheChoice::Auto, Some(spec::Origin::Global))
        );
        assert_eq!((spec.cdroms.len(), spec.cdroms[1].media.is_none()), (2, true));
        assert_eq!(from_interface(spec.interfaces[0].clone()), vm.interfaces[0]);
    }

    #[test]
    fn a_plan_arrives() {
        let vm::StartRequest { cache, .. } = golden("vm-start", "request", "arguments");
        let auto = spec::CacheRequest {
            choice: spec::CacheChoice::Auto,
            origin: Some(spec::Origin::Global),
            accepts_loss: false,
        };
        let disks = vec![(spec::DiskId(cache.disks[0].volume), auto)];
        let expected = CachePlan { disks, cdroms: auto };
        assert_eq!(to_cache_plan(cache), expected);
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        for path in ["disk.raw", "", "/a/../etc/shadow", "/a\0b", "./a"] {
            let Err(refused) = to_path(path.to_owned()) else { panic!("`{path}` is taken") };
            assert_eq!((refused.kind(), refused.to_string().contains(path)), (Kind::Invalid, true));
        }
        // One file has one spelling from here on.
        assert_eq!(to_path("//a/./b/".to_owned()).unwrap(), Path::new("/a/b"));
        let vm::DefineRequest { mut vm } = golden("vm-define", "request", "arguments");
        vm.interfaces[0].mac = "52:54".to_owned();
        assert!(to_spec(vm).unwrap_err().to_string().starts_with("`52:54` is no hardware address; write"));
    }

    #[test]
    fn a_console_goes_on_where_it_stopped() {
        let shown_of = |size, bytes: &[u8]| {
            let log = state::ConsoleLog { offset: 7, bytes: bytes.to_vec(), size };
            let reply = from_console(&log);
            (reply.text, reply.next_offset)
        };
        let shown = |bytes: &[u8]| shown_of(100, bytes);
        assert_eq!(shown("a\u{e4}".as_bytes()), ("a\u{e4}".to_owned(), 10));
        assert_eq!(shown(&[b'a', 0xc3]), ("a".to_owned(), 8));
        // The guest has written half of it.
        assert_eq!(shown_of(8, &[0xc3]), (String::new(), 7));
        // What no further byte mends is shown, and so is what is all that was asked for.
        assert_eq!(shown(&[b'a', 0xff]), ("a\u{fffd}".to_owned(), 9));
        assert_eq!(shown(&[0xc3]), ("\u{fffd}".to_owned(), 8));
        assert_eq!(shown(&[]), (String::new(), 7));
    }

    #[test]
    fn a_failure_keeps_its_kind_and_its_words() {
        let error = Error::Unavailable { cause: "no socket".to_owned() };
        let refusal = Refusal::from(error.clone());
        assert_eq!((refusal.code, refusal.message), (FailureCode::Unavailable, error.to_string()));
    }
}
