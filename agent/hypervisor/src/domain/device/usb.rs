//! The USB controller.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;
use crate::spec::Machine;

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    let usb = Element::new("controller").with("type", "usb").with("index", 0);
    match plan.spec.machine {
        // It sleeps when nothing moves, where the older ones poll a thousand times a second.
        Machine::Q35 => devices.add_in_slot(usb.with("model", "qemu-xhci").with("ports", 15)),
        // Part of the board, and old guests know no other.
        Machine::I440fx => devices.add(usb.with("model", "piix3-uhci")),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;
    use crate::spec::Machine;

    #[test]
    fn it_is_as_old_as_the_board() {
        let (new, slots) = device(super::add, |_, _| {});
        assert_eq!(new, "<controller type=\"usb\" index=\"0\" model=\"qemu-xhci\" ports=\"15\"/>");
        assert_eq!(slots, 1);
        let (old, slots) = device(super::add, |spec, _| spec.machine = Machine::I440fx);
        assert_eq!(old, "<controller type=\"usb\" index=\"0\" model=\"piix3-uhci\"/>");
        assert_eq!(slots, 0);
    }
}
