//! The balloon: tells what the guest makes of its memory.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    devices.add_in_slot(Element::new("memballoon").with("model", "virtio"));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn it_sits_in_a_slot() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert_eq!((shown.as_str(), slots), ("<memballoon model=\"virtio\"/>", 1));
    }
}
