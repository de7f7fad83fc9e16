//! Network cards.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;
use crate::spec::Interface;

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    for Interface { mac, bridge, model } in &plan.spec.interfaces {
        devices.add_in_slot(
            Element::new("interface")
                .with("type", "bridge")
                .child(Element::new("mac").with("address", mac))
                .child(Element::new("source").with("bridge", bridge))
                .child(Element::new("model").with("type", model)),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;
    use crate::spec::{Interface, InterfaceModel, Mac};

    #[test]
    fn a_card_is_on_its_bridge() {
        let (shown, slots) = device(super::add, |spec, _| {
            let mac = Mac([0x52, 0x54, 0, 0, 0, 0x0a]);
            let model = InterfaceModel::E1000e;
            spec.interfaces = vec![Interface { mac, bridge: "br0".to_owned(), model }];
        });
        assert_eq!(
            shown,
            "<interface type=\"bridge\"><mac address=\"52:54:00:00:00:0a\"/><source bridge=\"br0\"/>\
            <model type=\"e1000e\"/></interface>"
        );
        assert_eq!(slots, 1);
    }
}
