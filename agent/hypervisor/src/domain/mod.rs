//! libvirt's description of a domain, built and read: the only place that knows its XML.
//!
//! A description is put together by parts, one file each, which [`xml`] calls in the order of two lists. A part looks at
//! what is asked for and adds elements; no part knows another. [`read`] takes back what libvirt makes of it, or an
//! operator.
//!
//! Not here: input and output, and what libvirt is told to do with a description.

mod clock;
mod cpu;
mod described;
mod device;
mod element;
mod features;
mod head;
mod kept;
mod memory;
mod os;
mod power;
mod read;
mod rewrite;
#[cfg(test)]
mod sample;
mod target;

use std::path::PathBuf;

use crate::cache::Decisions;
use crate::check;
use crate::error::Error;
use crate::spec::{Accel, DomainSpec, Firmware};

pub use described::{Described, DiskAt, DriveAt, Mark, Since};
pub use device::disk::Location;
pub(crate) use head::NAMESPACE;
pub(crate) use head::PREFIX;
pub use read::read;
pub(crate) use read::{Chain, Image, Named, chain, files};
pub use rewrite::rewrite;
pub use target::free_target;
pub(crate) use target::place;

use device::Devices;
use element::Element;

/// What the host decides about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// What runs its instructions: what the choice in the request comes to here.
    pub accel: Accel,
    /// The file that keeps what the guest writes to its first serial line. Its folder exists.
    pub console_log: PathBuf,
    /// Whether there is an image of UEFI.
    pub uefi: bool,
    /// How its disks and drives are opened.
    pub cache: Decisions,
}

/// What the parts look at.
pub(crate) struct Plan<'a> {
    spec: &'a DomainSpec,
    host: &'a Surroundings,
    disks: Vec<DiskAt>,
    drives: Vec<DriveAt>,
}

/// Everything but the devices, in the order in which it stands.
const PARTS: &[fn(&Plan<'_>, &mut Element)] =
    &[head::add, memory::add, os::add, features::add, cpu::add, clock::add, power::add];

/// The devices, in the order in which they stand. Those that sit in slots come before the slots, which are counted.
const DEVICES: &[fn(&Plan<'_>, &mut Devices)] = &[
    device::disk::add,
    device::cdrom::add,
    device::scsi::add,
    device::interface::add,
    device::serial::add,
    device::channel::add,
    device::usb::add,
    device::tablet::add,
    device::graphics::add,
    device::video::add,
    device::balloon::add,
    device::rng::add,
    device::pci::add,
];

/// The description of a domain that is to be defined.
///
/// # Errors
/// [`Error::Invalid`] as from [`check::check`], [`Error::Unsupported`] if the host lacks what is asked for.
pub fn xml(spec: &DomainSpec, host: &Surroundings) -> Result<String, Error> {
    check::check(spec)?;
    check::check_path(&host.console_log)?;
    if spec.firmware == Firmware::Uefi && !host.uefi {
        return Err(Error::Unsupported {
            what: format!("`{}` is to boot with UEFI, and this host has no image of it", spec.name),
            remedy: "install OVMF (`ovmf`, `edk2-ovmf`), or choose the firmware `bios`".to_owned(),
        });
    }
    if (host.cache.disks.len(), host.cache.drives.len()) != (spec.disks.len(), spec.cdroms.len()) {
        return Err(Error::Failed {
            what: format!("describe `{}`", spec.name),
            cause: "not every disk and drive has a cache mode".to_owned(),
            remedy: "report this".to_owned(),
        });
    }
    let (disks, drives) = place(spec, &host.cache);
    let plan = Plan { spec, host, disks, drives };
    let mut domain = Element::new("domain").with("type", head::domain_type(host.accel));
    for part in PARTS {
        part(&plan, &mut domain);
    }
    let mut devices = Devices::default();
    for device in DEVICES {
        device(&plan, &mut devices);
    }
    domain.push(devices.element());
    domain.xml()
}

/// The description of a disk alone, for attaching and detaching it.
///
/// # Errors
/// [`Error::Invalid`] as from [`check::check_disk`].
pub fn disk_xml(disk: &DiskAt) -> Result<String, Error> {
    check::check_disk(&disk.disk)?;
    device::disk::element(disk).xml()
}

/// The description of a disk alone that lies elsewhere than in its file.
///
/// # Errors
/// [`Error::Invalid`] as from [`check::check_disk`].
pub fn disk_xml_at(location: Location<'_>, disk: &DiskAt) -> Result<String, Error> {
    check::check_disk(&disk.disk)?;
    device::disk::element_at(location, disk).xml()
}

/// The description of a CD-ROM drive alone, for changing what lies in it.
///
/// # Errors
/// [`Error::Invalid`] as from [`check::check_path`].
pub fn cdrom_xml(drive: &DriveAt) -> Result<String, Error> {
    drive.media.as_deref().map_or(Ok(()), check::check_path)?;
    device::cdrom::element(drive).xml()
}

/// Our mark alone, with what was asked of these disks and drives, for libvirt's metadata. No namespace is said in it.
///
/// # Errors
/// [`Error::Failed`] if there is no memory for it.
pub fn mark_xml(mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Result<String, Error> {
    head::bare(mark, disks, drives).xml()
}
