//! The line to the agent in the guest, for guests that have one.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    devices.add_in_slot(Element::new("controller").with("type", "virtio-serial").with("index", 0));
    let target = Element::new("target").with("type", "virtio").with("name", "org.qemu.guest_agent.0");
    devices.add(Element::new("channel").with("type", "unix").child(target));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn the_line_bears_the_name_that_guests_look_for() {
        let (shown, slots) = device(super::add, |_, _| {});
        let line = "<target type=\"virtio\" name=\"org.qemu.guest_agent.0\"/></channel>";
        assert!(shown.ends_with(line), "{shown}");
        assert_eq!(slots, 1);
    }
}
