//! What makes a domain, a disk, a medium, a volume: judged from the request alone, before anything is touched. Both
//! hypervisors ask here, so that they cannot differ.
//!
//! Not here: what the host can do, what is there already, what a domain's state allows.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::path::Path;

use crate::cache::evidence;
use crate::error::Error;
use crate::spec::{BootDevice, Disk, DiskBus, DomainSpec, Format, Interface, Mac, Machine, Sector};
use crate::storage::VolumeSpec;

const MIB: u64 = 1024 * 1024;
const SECTOR_BYTES: u64 = 512;
/// What libvirt, QEMU and their databases take without complaint.
const NAME_BYTES: usize = 64;
/// Beyond it, QEMU wants an IOMMU that remaps interrupts.
const VCPUS: u32 = 255;
/// The i440fx has two IDE channels with two drives each.
const IDE_DRIVES: usize = 4;
/// More than anyone has discs for.
const SATA_DRIVES: usize = 16;
/// Together with the cards, fewer than a board has slots for.
const DISKS: usize = 128;
const INTERFACES: usize = 32;
/// PATH_MAX without the zero at the end.
const PATH_BYTES: usize = 4095;
/// IFNAMSIZ without the zero at the end.
const BRIDGE_BYTES: usize = 15;

fn invalid(what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Invalid { what: what.into(), remedy: remedy.into() }
}

/// Judges a domain that is to be defined.
///
/// # Errors
/// [`Error::Invalid`], for the first thing that is wrong.
pub fn check(spec: &DomainSpec) -> Result<(), Error> {
    check_name(&spec.name)?;
    if spec.memory_bytes == 0 || !spec.memory_bytes.is_multiple_of(MIB) {
        return Err(invalid(
            format!("`{}` bytes of memory is not a multiple of {MIB} above 0", spec.memory_bytes),
            "choose whole MiB",
        ));
    }
    if !(1..=VCPUS).contains(&spec.vcpus) {
        return Err(invalid(
            format!("`{}` is no number of processors", spec.vcpus),
            format!("choose 1 to {VCPUS}"),
        ));
    }
    check_boot(spec)?;
    at_most(spec.disks.len(), DISKS, "disks")?;
    at_most(spec.interfaces.len(), INTERFACES, "network cards")?;
    for disk in &spec.disks {
        check_disk(disk)?;
    }
    let drives = match spec.machine {
        Machine::I440fx => IDE_DRIVES,
        Machine::Q35 => SATA_DRIVES,
    };
    at_most(spec.cdroms.len(), drives, format_args!("CD-ROM drives for the machine `{}`", spec.machine))?;
    let media = || spec.cdroms.iter().filter_map(|drive| drive.media.as_ref());
    for media in media() {
        check_path(media)?;
    }
    for interface in &spec.interfaces {
        check_interface(interface)?;
    }
    let apart = "give each its own";
    once(spec.disks.iter().map(|disk| disk.id), "two disks have the identity", apart)?;
    let sources = spec.disks.iter().map(|disk| disk.source.display().to_string());
    once(sources, "two disks have the file", apart)?;
    // A medium may lie in two drives, since both only read it.
    if let Some(both) = media().find(|media| spec.disks.iter().any(|disk| disk.source == **media)) {
        return Err(invalid(
            format!("`{}` is both a disk and in a CD-ROM drive", both.display()),
            "remove one of them",
        ));
    }
    once(spec.interfaces.iter().map(|card| card.mac), "two network cards have the address", apart)
}

fn at_most(count: usize, limit: usize, of: impl Display) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(invalid(format!("`{count}` is too many {of}"), format!("choose at most {limit}")))
}

/// Judges the name of a domain.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_name(name: &str) -> Result<(), Error> {
    let starts = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let body = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if starts && body && name.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(invalid(
        format!("`{}` is no name of a domain", name.escape_debug()),
        format!("choose 1 to {NAME_BYTES} letters, digits, `.`, `_` or `-`, the first a letter or digit"),
    ))
}

fn check_boot(spec: &DomainSpec) -> Result<(), Error> {
    if spec.boot.is_empty() {
        return Err(invalid(format!("the boot list of `{}` is empty", spec.name), "add `hd` or another"));
    }
    once(spec.boot.iter(), "the boot list names twice", "name it once")?;
    for device in &spec.boot {
        let (there, missing) = match device {
            BootDevice::Hd => (!spec.disks.is_empty(), "disk"),
            BootDevice::Cdrom => (!spec.cdroms.is_empty(), "CD-ROM drive"),
            BootDevice::Network => (!spec.interfaces.is_empty(), "network card"),
        };
        if !there {
            return Err(invalid(
                format!("the boot list names `{device}`, and `{}` has no {missing}", spec.name),
                "add one, or take it off the list",
            ));
        }
    }
    Ok(())
}

/// Judges a disk.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_disk(disk: &Disk) -> Result<(), Error> {
    check_path(&disk.source)?;
    let Sector::Fixed(Some(bytes)) = disk.sector else { return Ok(()) };
    let (least, most) = (evidence::SECTOR_BYTES, evidence::PAGE_BYTES);
    if !bytes.is_power_of_two() || !(least..=most).contains(&bytes) {
        return Err(invalid(
            format!("`{bytes}` bytes are no sector of a disk"),
            format!("choose {least} or {most}"),
        ));
    }
    if disk.bus == DiskBus::Sata && bytes != least {
        let what =
            format!("`{}` has sectors of {bytes} bytes, and an AHCI disk has none", disk.source.display());
        return Err(invalid(what, "attach it by virtio or scsi"));
    }
    Ok(())
}

/// Judges a network card.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_interface(interface: &Interface) -> Result<(), Error> {
    let Interface { mac, bridge, model: _ } = interface;
    let Mac([first, ..]) = mac;
    // The lowest bit marks groups. libvirt gives the host's end of the line the guest's address with 0xfe in front.
    if first & 1 == 1 || *first == 0xfe || mac.0 == [0; 6] {
        return Err(invalid(
            format!("`{mac}` is no address of a network card"),
            "choose one like `52:54:00:12:34:56`",
        ));
    }
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
    let length = (1..=BRIDGE_BYTES).contains(&bridge.len());
    if !length || !bridge.chars().all(plain) || [".", ".."].contains(&bridge.as_str()) {
        return Err(invalid(
            format!("`{}` is no name of a bridge", bridge.escape_debug()),
            format!("choose 1 to {BRIDGE_BYTES} bytes without `/`, `:` and white space"),
        ));
    }
    Ok(())
}

/// Judges a volume that is to be made.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_volume(spec: &VolumeSpec) -> Result<(), Error> {
    let VolumeSpec { path, format, size_bytes, backing } = spec;
    check_path(path)?;
    let shown = path.display();
    match (size_bytes, backing) {
        (None, None) => {
            return Err(invalid(
                format!("`{shown}` has neither a size nor an image under it"),
                "give a size",
            ));
        }
        (Some(size), _) => check_size(path, *size)?,
        (None, Some(_)) => {}
    }
    let Some(backing) = backing else { return Ok(()) };
    check_path(&backing.path)?;
    if backing.path == *path {
        return Err(invalid(format!("`{shown}` would lie on itself"), "choose another path"));
    }
    match format {
        Format::Qcow2 => Ok(()),
        Format::Raw => Err(invalid(
            format!("`{shown}` is raw and cannot lie on `{}`", backing.path.display()),
            "choose the format `qcow2`",
        )),
    }
}

/// Judges the size that a volume is to have.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_size(path: &Path, size_bytes: u64) -> Result<(), Error> {
    // File sizes are signed in the kernel.
    if size_bytes > 0 && size_bytes.is_multiple_of(SECTOR_BYTES) && i64::try_from(size_bytes).is_ok() {
        return Ok(());
    }
    Err(invalid(
        format!("`{size_bytes}` bytes is no size for `{}`", path.display()),
        format!("choose a multiple of {SECTOR_BYTES} above 0"),
    ))
}

/// Judges a path: absolute, in its one spelling, and such that libvirt's XML can carry it.
///
/// # Errors
/// [`Error::Invalid`]
pub fn check_path(path: &Path) -> Result<(), Error> {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    if !path.is_absolute() {
        return Err(invalid(format!("`{shown}` is not absolute"), "start it with `/`"));
    }
    let Some(text) = path.to_str() else {
        return Err(invalid(format!("`{shown}` is not UTF-8"), "rename the file"));
    };
    // U+FFFE and U+FFFF are the only others that XML has no spelling for.
    if text.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(invalid(format!("`{shown}` holds a control character"), "rename the file"));
    }
    if text[1..].split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(invalid(
            format!("`{shown}` is not the plain path of a file"),
            "write it without `.`, `..`, `//` and `/` at its end",
        ));
    }
    if text.len() > PATH_BYTES {
        return Err(invalid(format!("`{shown}` has more than {PATH_BYTES} bytes"), "choose a shorter path"));
    }
    Ok(())
}

fn once<T: Hash + Eq + Display>(all: impl Iterator<Item = T>, what: &str, remedy: &str) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for one in all {
        if let Some(twice) = seen.replace(one) {
            return Err(invalid(format!("{what} `{twice}`"), remedy));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
