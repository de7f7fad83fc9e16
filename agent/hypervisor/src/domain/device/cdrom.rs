//! CD-ROM drives.

use super::Devices;
use super::disk::driver;
use crate::domain::Plan;
use crate::domain::described::DriveAt;
use crate::domain::element::Element;
use crate::spec::Format;

/// What the alias of one of our drives starts with.
pub(in crate::domain) const ALIAS: &str = "ua-cdrom-";

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    for drive in &plan.drives {
        devices.add(element(drive));
    }
}

pub(in crate::domain) fn element(drive: &DriveAt) -> Element {
    // An empty drive has a mode, too: it cannot be given one while a guest has the drive.
    let driver = driver(Format::Raw, &drive.decided);
    let disk = Element::new("disk").with("type", "file").with("device", "cdrom").child(driver);
    let disk = match &drive.media {
        None => disk,
        Some(media) => disk.child(Element::new("source").with("file", media.display())),
    };
    disk.child(Element::new("target").with("dev", &drive.target).with("bus", &drive.bus))
        .child(Element::new("readonly"))
        .child(Element::new("alias").with("name", format_args!("{ALIAS}{}", drive.drive)))
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;
    use crate::spec::{CacheChoice, CdromDrive, Machine};

    #[test]
    fn an_empty_drive_has_no_source() {
        let (shown, slots) =
            device(super::add, |spec, _| spec.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback)]);
        assert_eq!(
            shown,
            "<disk type=\"file\" device=\"cdrom\"><driver name=\"qemu\" type=\"raw\" cache=\"writeback\"/>\
            <target dev=\"sda\" bus=\"sata\"/><readonly/><alias name=\"ua-cdrom-0\"/></disk>"
        );
        assert_eq!(slots, 0);
    }

    #[test]
    fn what_lies_in_a_drive_has_a_cache_mode_of_its_own() {
        let (shown, _) = device(super::add, |spec, _| {
            spec.machine = Machine::I440fx;
            let full = CdromDrive::with(CacheChoice::Directsync, "/a.iso");
            spec.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback), full];
        });
        assert_eq!(
            shown.lines().nth(1).unwrap(),
            "<disk type=\"file\" device=\"cdrom\"><driver name=\"qemu\" type=\"raw\" cache=\"directsync\"/>\
            <source file=\"/a.iso\"/><target dev=\"hdb\" bus=\"ide\"/><readonly/>\
            <alias name=\"ua-cdrom-1\"/></disk>"
        );
    }
}
