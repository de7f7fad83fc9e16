//! Disks.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;
use crate::spec::{Disk, DiskBus, DiskId};

/// What the alias of one of our disks starts with. libvirt keeps aliases that start with `ua-`, and names them in events.
pub(in crate::domain) const ALIAS: &str = "ua-volume-";

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    for disk in &plan.disks {
        let element = element(&disk.disk, &disk.target);
        match disk.disk.bus {
            DiskBus::Virtio => devices.add_in_slot(element),
            DiskBus::Scsi | DiskBus::Sata => devices.add(element),
        }
    }
}

/// A disk that is called `target` in its domain.
pub(in crate::domain) fn element(disk: &Disk, target: &str) -> Element {
    let Disk { id: DiskId(id), source, format, bus, cache } = disk;
    // The cache mode is always said, so that no default decides. `io` never is: `native` works with O_DIRECT alone, and
    // a running disk could then not be taken through the page cache. No `backingStore` either: libvirt looks what is
    // under an image, whose format stands in the image above it.
    let driver = Element::new("driver")
        .with("name", "qemu")
        .with("type", format)
        .with("cache", cache)
        .with("discard", "unmap");
    Element::new("disk")
        .with("type", "file")
        .with("device", "disk")
        .child(driver)
        .child(Element::new("source").with("file", source.display()))
        .child(Element::new("target").with("dev", target).with("bus", bus))
        .child(Element::new("alias").with("name", format_args!("{ALIAS}{id}")))
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::{device, disk};
    use crate::spec::{CacheMode, DiskBus, Format};

    #[test]
    fn the_cache_mode_is_always_said() {
        for cache in CacheMode::ALL {
            let (shown, _) = device(super::add, |spec, _| spec.disks[0].cache = *cache);
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
        assert!(lines[1].contains("<source file=\"/a &amp; b\"/><target dev=\"sda\" bus=\"scsi\"/>"));
        assert_eq!(slots, 1);
    }
}
