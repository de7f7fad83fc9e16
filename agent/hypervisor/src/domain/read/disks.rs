//! Disks and CD-ROM drives of a description.

use std::path::PathBuf;

use roxmltree::Node;
use uuid::Uuid;

use super::Records;
use super::node::{attribute, child, children, word};
use crate::cache::Decision;
use crate::domain::described::{DiskAt, DriveAt, Since};
use crate::domain::device;
use crate::spec::{CacheMode, CacheRequest, Disk, DiskBus, DiskId, Format, Sector};

/// Disks and drives, each with the element that it was read from.
pub(super) type Found<'a, 'input> = (Vec<(DiskAt, Node<'a, 'input>)>, Vec<(DriveAt, Node<'a, 'input>)>);

pub(super) fn read<'a, 'input>(
    domain: Uuid,
    devices: Node<'a, 'input>,
    records: &Records,
) -> Found<'a, 'input> {
    let mut disks = Vec::new();
    let mut cdroms = Vec::new();
    for node in children(devices, "disk") {
        match attribute(node, "device").unwrap_or("disk") {
            "disk" | "lun" => disks.extend(disk(domain, node, records).map(|disk| (disk, node))),
            "cdrom" => cdroms.push(node),
            _ => {}
        }
    }
    (disks, drives(&cdroms, records))
}

fn disk(domain: Uuid, node: Node<'_, '_>, records: &Records) -> Option<DiskAt> {
    let (target, bus) = target(node)?;
    let driver = child(node, "driver");
    let ours = alias(node, device::disk::ALIAS).and_then(|id| Uuid::parse_str(id).ok());
    let id = ours.unwrap_or_else(|| Uuid::new_v5(&domain, target.as_bytes()));
    let decided = decided(node, records.disks.get(&id));
    let disk = Disk {
        id: DiskId(id),
        source: source(node).unwrap_or_default(),
        format: driver.and_then(|driver| word(driver, "type")).unwrap_or(Format::Raw),
        bus: bus.parse().unwrap_or(DiskBus::Sata),
        cache: CacheRequest { origin: decided.origin, ..decided.choice.into() },
        sector: Sector::Fixed(decided.sector_bytes),
    };
    let (readonly, shareable) = (child(node, "readonly").is_some(), child(node, "shareable").is_some());
    let since = Since {
        done: told_since(&decided, records.changed.get(&id)),
        asked: told_since(&decided, records.changing.get(&id)),
    };
    Some(DiskAt { disk, target: target.to_owned(), readonly, shareable, decided, since })
}

/// What QEMU was told of a disk since it was started as `decided`.
fn told_since(decided: &Decision, record: Option<&(CacheMode, Decision)>) -> Option<Decision> {
    let (_, told) = record.filter(|(over, _)| *over == decided.mode)?;
    Some(Decision { aio: decided.aio, sector_bytes: decided.sector_bytes, ..told.clone() })
}

fn drives<'a, 'input>(cdroms: &[Node<'a, 'input>], records: &Records) -> Vec<(DriveAt, Node<'a, 'input>)> {
    let number = |node: &Node<'_, '_>| alias(*node, device::cdrom::ALIAS)?.parse::<u8>().ok();
    let mut taken: Vec<u8> = cdroms.iter().filter_map(number).collect();
    let mut drives = Vec::new();
    for node in cdroms {
        let free = || (0..=u8::MAX).find(|number| !taken.contains(number));
        let (Some(drive), Some((target, bus))) = (number(node).or_else(free), target(*node)) else {
            continue;
        };
        taken.push(drive);
        let (target, bus) = (target.to_owned(), bus.to_owned());
        let decided = decided(*node, records.drives.get(&drive));
        let drive = DriveAt { drive, target, bus, decided, media: source(*node) };
        drives.push((drive, *node));
    }
    drives.sort_by_key(|(at, _): &(DriveAt, _)| at.drive);
    drives
}

fn target<'a>(node: Node<'a, '_>) -> Option<(&'a str, &'a str)> {
    let target = child(node, "target")?;
    Some((attribute(target, "dev")?, attribute(target, "bus").unwrap_or_default()))
}

fn alias<'a>(node: Node<'a, '_>, prefix: &str) -> Option<&'a str> {
    attribute(child(node, "alias")?, "name")?.strip_prefix(prefix)
}

/// The mode, and what was asked for. What is written where QEMU reads it is what counts.
fn decided(node: Node<'_, '_>, record: Option<&Decision>) -> Decision {
    let mode = cache(node);
    let decided = record.filter(|record| record.mode == mode).cloned();
    Decision {
        aio: child(node, "driver").and_then(|driver| word(driver, "io")),
        sector_bytes: child(node, "blockio").and_then(|block| word(block, "logical_block_size")),
        ..decided.unwrap_or_else(|| Decision::explicit(mode))
    }
}

/// libvirt leaves the mode to QEMU where none is said, and QEMU chooses `writeback`.
fn cache(node: Node<'_, '_>) -> CacheMode {
    child(node, "driver").and_then(|driver| word(driver, "cache")).unwrap_or(CacheMode::Writeback)
}

fn source(node: Node<'_, '_>) -> Option<PathBuf> {
    let source = child(node, "source")?;
    let within = |name| attribute(source, name);
    if let Some(path) = within("file").or_else(|| within("dev")).or_else(|| within("dir")) {
        return Some(path.into());
    }
    match (within("protocol"), within("pool")) {
        (Some(protocol), _) => Some(format!("{protocol}:{}", within("name").unwrap_or_default()).into()),
        (None, Some(pool)) => Some(format!("{pool}/{}", within("volume").unwrap_or_default()).into()),
        (None, None) => None,
    }
}
