//! SCSI controllers. There is always one: libvirt would otherwise add one of its own choice with the first SCSI disk that is
//! attached, which is an LSI that few guests have a driver for.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;
use crate::spec::DiskBus;

/// How many disks libvirt puts onto one controller: the names `sda` to `sdo` are its units 0 to 6 and 8 to 15.
const UNITS: usize = 15;

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    // libvirt finds the controller by the name, which SATA disks and drives share.
    let scsi = plan.disks.iter().any(|disk| disk.disk.bus == DiskBus::Scsi);
    let named = plan.disks.iter().filter(|disk| disk.disk.bus != DiskBus::Virtio).count();
    let controllers = if scsi { named.div_ceil(UNITS) } else { 1 };
    for index in 0..controllers {
        let controller = Element::new("controller").with("type", "scsi").with("index", index);
        devices.add_in_slot(controller.with("model", "virtio-scsi"));
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::{device, disk};
    use crate::spec::DiskBus;

    #[test]
    fn there_is_always_one() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert_eq!(shown, "<controller type=\"scsi\" index=\"0\" model=\"virtio-scsi\"/>");
        assert_eq!(slots, 1);
    }

    #[test]
    fn one_holds_fifteen_disks() {
        let many = |count| {
            device(super::add, |spec, _| {
                spec.disks = (0..count).map(disk).collect();
                spec.disks.iter_mut().for_each(|disk| disk.bus = DiskBus::Scsi);
            })
        };
        assert_eq!(many(15).1, 1);
        assert_eq!(many(16).1, 2);
    }
}
