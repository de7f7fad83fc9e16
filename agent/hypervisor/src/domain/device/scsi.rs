//! The SCSI controller. It is always there: libvirt would otherwise add one of its own choice with the first SCSI disk that is
//! attached, which is an LSI that few guests have a driver for.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    let controller = Element::new("controller").with("type", "scsi").with("index", 0);
    devices.add_in_slot(controller.with("model", "virtio-scsi"));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn there_is_always_one() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert_eq!(shown, "<controller type=\"scsi\" index=\"0\" model=\"virtio-scsi\"/>");
        assert_eq!(slots, 1);
    }
}
