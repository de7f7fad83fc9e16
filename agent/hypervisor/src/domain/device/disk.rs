//! Disks.

use std::path::Path;

use super::Devices;
use crate::cache::Decision;
use crate::domain::element::Element;
use crate::domain::{DiskAt, Plan, target};
use crate::spec::{Disk, DiskBus, DiskId, Format};

/// What the alias of one of our disks starts with. libvirt keeps aliases that start with `ua-`, and names them in events.
pub(in crate::domain) const ALIAS: &str = "ua-volume-";

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    for disk in &plan.disks {
        let element = element(disk);
        match disk.disk.bus {
            DiskBus::Virtio => devices.add_in_slot(element),
            DiskBus::Scsi | DiskBus::Sata => devices.add(element),
        }
    }
}

/// Where a disk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location<'a> {
    /// In a file.
    File(&'a Path),
    /// On a block device.
    Block(&'a Path),
    /// In a Ceph cluster.
    Rbd {
        /// Its pool and name, with a slash between.
        image: &'a str,
        /// Names or addresses of the monitors, and their ports.
        monitors: &'a [(&'a str, u16)],
    },
    /// On an iSCSI target.
    Iscsi {
        /// The target's name and the unit's number, with a slash between.
        unit: &'a str,
        /// Name or address of the portal, and its port.
        portal: (&'a str, u16),
    },
}

impl Location<'_> {
    /// libvirt's word for it, and the element that tells where.
    fn element(self) -> (&'static str, Element) {
        let source = Element::new("source");
        let host = |(name, port): (&str, u16)| Element::new("host").with("name", name).with("port", port);
        match self {
            Self::File(path) => ("file", source.with("file", path.display())),
            Self::Block(path) => ("block", source.with("dev", path.display())),
            Self::Rbd { image, monitors } => {
                let source = source.with("protocol", "rbd").with("name", image);
                ("network", monitors.iter().copied().map(host).fold(source, Element::child))
            }
            Self::Iscsi { unit, portal } => {
                ("network", source.with("protocol", "iscsi").with("name", unit).child(host(portal)))
            }
        }
    }
}

pub(in crate::domain) fn element(at: &DiskAt) -> Element {
    element_at(Location::File(&at.disk.source), at)
}

/// A disk that lies elsewhere than in its file.
pub(in crate::domain) fn element_at(location: Location<'_>, at: &DiskAt) -> Element {
    let DiskAt { disk, target, readonly: _, shareable: _, decided, since: _ } = at;
    let Disk { id: DiskId(id), source: _, format, bus, cache: _, sector: _ } = disk;
    // The cache mode is always said, so that no default decides. `io` is what an operator said, if anything: `native` works
    // with O_DIRECT alone, and a running disk could then not be taken through the page cache. No `backingStore` either:
    // libvirt looks what is under an image, whose format stands in the image above it.
    let driver = driver(*format, decided).with("discard", "unmap");
    let (kind, source) = location.element();
    let mut disk = Element::new("disk")
        .with("type", kind)
        .with("device", "disk")
        .child(driver)
        .child(source)
        .child(Element::new("target").with("dev", target).with("bus", bus))
        .child(Element::new("alias").with("name", format_args!("{ALIAS}{id}")));
    if let Some(bytes) = decided.sector_bytes {
        let sector = Element::new("blockio").with("logical_block_size", bytes);
        disk.push(sector.with("physical_block_size", bytes));
    }
    match bus {
        DiskBus::Scsi => disk.push(scsi_address(target)),
        DiskBus::Virtio | DiskBus::Sata => {}
    }
    disk
}

/// How QEMU opens what a disk or a drive lies on.
pub(super) fn driver(format: Format, decided: &Decision) -> Element {
    let driver = Element::new("driver").with("name", "qemu").with("type", format).with("cache", decided.mode);
    match decided.aio {
        None => driver,
        Some(aio) => driver.with("io", aio),
    }
}

/// All SCSI disks are units of the one controller. Where libvirt chooses, it puts seven onto each, by their names, and
/// the next controller that it adds is an LSI, for which few guests have a driver.
fn scsi_address(target: &str) -> Element {
    Element::new("address")
        .with("type", "drive")
        .with("controller", 0)
        .with("bus", 0)
        .with("target", 0)
        .with("unit", target::number(target))
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::{device, disk};
    use crate::spec::{CacheMode, DiskBus, Format};

    #[test]
    fn the_cache_mode_is_always_said() {
        for cache in CacheMode::ALL {
            let (shown, _) = device(super::add, |spec, _| spec.disks[0].cache = (*cache).into());
            assert!(shown.contains(&format!(" cache=\"{cache}\" ")), "{shown}");
        }
    }

    #[test]
    fn a_disk_bears_the_name_of_its_volume() {
        let (shown, slots) = device(super::add, |spec, _| {
            spec.disks.push(disk(2));
            spec.disks[1].format = Format::Raw;
            spec.disks[1].bus = DiskBus::Scsi;
            spec.disks[1].source = "/a & b".into();
        });
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[0],
            "<disk type=\"file\" device=\"disk\">\
            <driver name=\"qemu\" type=\"qcow2\" cache=\"none\" discard=\"unmap\"/>\
            <source file=\"/volumes/1.qcow2\"/><target dev=\"vda\" bus=\"virtio\"/>\
            <alias name=\"ua-volume-00000000-0000-0000-0000-000000000001\"/></disk>"
        );
        let escaped = "<source file=\"/a &amp; b\"/><target dev=\"sda\" bus=\"scsi\"/>";
        assert!(lines[1].contains(escaped), "{shown}");
        let address = "<address type=\"drive\" controller=\"0\" bus=\"0\" target=\"0\" unit=\"0\"/></disk>";
        assert!(lines[1].ends_with(address), "{shown}");
        assert_eq!(slots, 1);
    }
}
