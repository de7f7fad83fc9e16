//! The graphics card: standard VGA, which SeaBIOS, OVMF, Linux and Windows all have a driver for.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    let model =
        Element::new("model").with("type", "vga").with("vram", 16384).with("heads", 1).with("primary", "yes");
    // libvirt puts the first card onto the root bus, where firmware looks for it: it takes no slot.
    devices.add(Element::new("video").child(model));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn it_is_vga() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert!(shown.starts_with("<video><model type=\"vga\" vram=\"16384\" "), "{shown}");
        assert_eq!(slots, 0);
    }
}
