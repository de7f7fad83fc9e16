//! Takes back what libvirt says of a domain, running or not, after it added what it likes and an operator what they like.
//!
//! A domain that cannot be read would vanish from sight, so what our types have no word for is told by the nearest one:
//!
//! - a board that is no q35 is told as i440fx, and a type that is no `kvm` as TCG;
//! - a disk without our alias gets an identity made of the domain's and its target (UUID version 5): the same at every
//!   reading, different for every disk, and never that of a volume, whose identity is random;
//! - a drive without our alias gets the lowest number that is free;
//! - a format other than qcow2 is told as raw, a bus other than virtio and scsi as sata, a card of another model as e1000:
//!   those of which least is expected;
//! - a source that is no file is told as libvirt names it, which is no absolute path unless it is a block device;
//! - a way to wait for the host that is none of ours is told as none;
//! - what was asked of a cache mode is told as our mark keeps it, unless an operator has changed the mode since: then the
//!   mode is what is asked for;
//! - what QEMU was told past libvirt since it was started is told as our mark keeps it, if the disk has the mode that QEMU was
//!   started with;
//! - floppies, shared folders and other devices are left out.

mod chain;
mod disks;
mod files;
mod node;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;

use roxmltree::{Document, Node};
use uuid::Uuid;

use super::described::{Described, DiskAt, DriveAt, Mark};
use super::{head, kept};
use crate::cache::Decision;
use crate::error::Error;
use crate::spec::{Accel, BootDevice, CacheMode, Firmware, Guest, Interface, InterfaceModel, Mac, Machine};
pub(crate) use chain::{Chain, Image, chain};
pub(crate) use files::{Named, files};
use node::{attribute, child, children, word};

/// Reads libvirt's description of a domain.
///
/// # Errors
/// [`Error::Failed`] if it is no XML, or lacks what libvirt writes for every domain.
pub fn read(xml: &str) -> Result<Described, Error> {
    let failed = |cause: String| Error::Failed {
        what: "read libvirt's description of a domain".to_owned(),
        cause,
        remedy: "look at it with `virsh dumpxml`".to_owned(),
    };
    let document = Document::parse(xml).map_err(|error| failed(error.to_string()))?;
    domain(document.root_element()).map_err(|Missing(what)| failed(format!("`{what}` is missing or odd")))
}

/// What every domain has, and this one lacks.
struct Missing(&'static str);

fn domain(domain: Node<'_, '_>) -> Result<Described, Missing> {
    if !domain.has_tag_name("domain") {
        return Err(Missing("domain"));
    }
    let text = |name| child(domain, name).and_then(|node| node.text()).map(str::trim).ok_or(Missing(name));
    let uuid = Uuid::parse_str(text("uuid")?).map_err(|_| Missing("uuid"))?;
    let devices = child(domain, "devices").ok_or(Missing("devices"))?;
    let accel = if attribute(domain, "type") == Some("kvm") { Accel::Kvm } else { Accel::Tcg };
    let os = child(domain, "os").ok_or(Missing("os"))?;
    let machine = child(os, "type").and_then(|node| attribute(node, "machine")).unwrap_or_default();
    let (disks, drives) = disks::read(uuid, devices, &Records::of(domain));
    Ok(Described {
        uuid,
        name: text("name")?.to_owned(),
        mark: mark(domain),
        memory_bytes: memory_bytes(domain).ok_or(Missing("memory"))?,
        vcpus: vcpus(domain).ok_or(Missing("vcpu"))?,
        machine: if machine.contains("q35") { Machine::Q35 } else { Machine::I440fx },
        firmware: firmware(os),
        accel,
        boot: children(os, "boot").filter_map(|boot| word::<BootDevice>(boot, "dev")).collect(),
        disks: disks.into_iter().map(|(at, _)| at).collect(),
        drives: drives.into_iter().map(|(at, _)| at).collect(),
        interfaces: children(devices, "interface").filter_map(interface).collect(),
        console_log: console_log(devices),
        vnc_socket: vnc_socket(devices),
    })
}

/// The elements in a description that tell of cache modes.
pub(super) struct Places<'a, 'input> {
    /// Our mark.
    pub(super) mark: Node<'a, 'input>,
    /// Every disk as it reads.
    pub(super) disks: Vec<(DiskAt, Node<'a, 'input>)>,
    /// Every drive.
    pub(super) drives: Vec<(DriveAt, Node<'a, 'input>)>,
}

/// None: the domain is not ours.
pub(super) fn places<'a, 'input>(domain: Node<'a, 'input>) -> Option<Places<'a, 'input>> {
    let mark = mark_node(domain)?;
    let uuid = child(domain, "uuid")?.text()?.trim().parse().ok()?;
    let (disks, drives) = disks::read(uuid, child(domain, "devices")?, &Records::of(domain));
    Some(Places { mark, disks, drives })
}

/// The element that is our mark.
fn mark_node<'a, 'input>(domain: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    let metadata = child(domain, "metadata")?;
    metadata.children().find(|node| node.has_tag_name((head::NAMESPACE, head::MARK)))
}

/// What the mark tells of cache modes.
#[derive(Default)]
struct Records {
    disks: HashMap<Uuid, Decision>,
    drives: HashMap<u8, Decision>,
    /// What a running QEMU was told since, each with the mode that it was started in.
    changed: HashMap<Uuid, (CacheMode, Decision)>,
    changing: HashMap<Uuid, (CacheMode, Decision)>,
}

impl Records {
    fn of(domain: Node<'_, '_>) -> Self {
        let mut records = Self::default();
        for node in mark_node(domain).iter().flat_map(Node::children) {
            let decided = || {
                let (choice, mode) = (word(node, "cache")?, word(node, "mode")?);
                let ours = |name: &'static str| {
                    node.children().filter(move |inner| inner.has_tag_name((head::NAMESPACE, name)))
                };
                let layers: Vec<_> = ours(head::LAYER)
                    .filter_map(|inner| Some((kept::layer(inner)?, attribute(inner, "weakest").is_some())))
                    .collect();
                let warnings = ours(head::WARNING).filter_map(|inner| attribute(inner, "text"));
                Some(Decision {
                    origin: word(node, "origin"),
                    warnings: warnings.map(str::to_owned).collect(),
                    weakest: layers.iter().position(|(_, weakest)| *weakest),
                    layers: layers.into_iter().map(|(layer, _)| layer).collect(),
                    ..Decision::new(choice, mode, attribute(node, "why")?)
                })
            };
            if node.has_tag_name((head::NAMESPACE, head::DISK)) {
                records.disks.extend(word(node, "volume").zip(decided()));
            } else if node.has_tag_name((head::NAMESPACE, head::CDROM)) {
                records.drives.extend(word(node, "drive").zip(decided()));
            } else if node.has_tag_name((head::NAMESPACE, head::CHANGED)) {
                records.changed.extend(word(node, "volume").zip(word(node, "over").zip(decided())));
            } else if node.has_tag_name((head::NAMESPACE, head::CHANGING)) {
                records.changing.extend(word(node, "volume").zip(word(node, "over").zip(decided())));
            }
        }
        records
    }
}

fn mark(domain: Node<'_, '_>) -> Option<Mark> {
    let mark = mark_node(domain)?;
    // The mark says whose the domain is; what stands in it may come from an agent that knows other words.
    let accel = word(mark, "accel").unwrap_or(crate::spec::AccelChoice::Auto);
    Some(Mark { accel, guest: word(mark, "guest").unwrap_or(Guest::Linux) })
}

fn memory_bytes(domain: Node<'_, '_>) -> Option<u64> {
    let memory = child(domain, "memory")?;
    // libvirt itself always writes KiB.
    let unit: u64 = match attribute(memory, "unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    memory.text()?.trim().parse::<u64>().ok()?.checked_mul(unit)
}

fn vcpus(domain: Node<'_, '_>) -> Option<u32> {
    let vcpu = child(domain, "vcpu")?;
    attribute(vcpu, "current").or_else(|| vcpu.text()).and_then(|text| text.trim().parse().ok())
}

fn firmware(os: Node<'_, '_>) -> Firmware {
    let flash = child(os, "loader").is_some_and(|loader| attribute(loader, "type") == Some("pflash"));
    if flash || attribute(os, "firmware") == Some("efi") { Firmware::Uefi } else { Firmware::Bios }
}

fn interface(node: Node<'_, '_>) -> Option<Interface> {
    let mac: Mac = child(node, "mac").and_then(|mac| attribute(mac, "address"))?.parse().ok()?;
    let source = child(node, "source");
    let bridge = source.and_then(|source| {
        // On a network of libvirt's, a domain that runs shows the bridge, one that is off the network.
        attribute(source, "bridge")
            .or_else(|| attribute(source, "network"))
            .or_else(|| attribute(source, "dev"))
    });
    let model = child(node, "model").and_then(|model| word(model, "type")).unwrap_or(InterfaceModel::E1000);
    Some(Interface { mac, bridge: bridge.unwrap_or_default().to_owned(), model })
}

fn console_log(devices: Node<'_, '_>) -> Option<PathBuf> {
    let log = children(devices, "serial").find_map(|serial| child(serial, "log"))?;
    attribute(log, "file").map(PathBuf::from)
}

fn vnc_socket(devices: Node<'_, '_>) -> Option<PathBuf> {
    let vnc = children(devices, "graphics").find(|node| attribute(*node, "type") == Some("vnc"))?;
    let listens = children(vnc, "listen").find_map(|listen| attribute(listen, "socket"));
    listens.or_else(|| attribute(vnc, "socket")).map(PathBuf::from)
}
