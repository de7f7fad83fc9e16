//! The pointer: a tablet says where it is, so that it stays under the one that a viewer draws.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    devices.add(Element::new("input").with("type", "tablet").with("bus", "usb"));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn it_is_on_usb() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert_eq!((shown.as_str(), slots), ("<input type=\"tablet\" bus=\"usb\"/>", 0));
    }
}
