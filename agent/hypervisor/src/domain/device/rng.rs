//! Randomness from the host: a guest that was just born has none, and waits for some to make its keys.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    let backend = Element::new("backend").with("model", "random").text("/dev/urandom");
    devices.add_in_slot(Element::new("rng").with("model", "virtio").child(backend));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn it_never_waits() {
        let (shown, slots) = device(super::add, |_, _| {});
        let expected = "<rng model=\"virtio\"><backend model=\"random\">/dev/urandom</backend></rng>";
        assert_eq!((shown.as_str(), slots), (expected, 1));
    }
}
