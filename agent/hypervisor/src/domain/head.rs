//! Name, identity, and our mark, by which our domains are told from others.

use super::Plan;
use super::element::Element;
use crate::spec::Accel;

/// The namespace of our mark.
pub(super) const NAMESPACE: &str = "urn:cairn:vm:1";
/// The element that is our mark.
pub(super) const MARK: &str = "vm";

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    domain.push(Element::new("name").text(&plan.spec.name));
    domain.push(Element::new("uuid").text(plan.spec.uuid));
    let mark = Element::new("cairn:vm")
        .with("xmlns:cairn", NAMESPACE)
        .with("accel", plan.spec.accel)
        .with("guest", plan.spec.guest);
    domain.push(Element::new("metadata").child(mark));
}

/// libvirt's word for what runs a domain's instructions.
pub(super) const fn domain_type(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "qemu",
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;
    use crate::spec::{AccelChoice, Guest};

    #[test]
    fn a_domain_is_marked_as_ours() {
        let shown = part(super::add, |spec, _| (spec.accel, spec.guest) = (AccelChoice::Tcg, Guest::Windows));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "<name>sample</name>",
                "<uuid>00000000-0000-0000-0000-0000000000d0</uuid>",
                "<metadata><cairn:vm xmlns:cairn=\"urn:cairn:vm:1\" accel=\"tcg\" guest=\"windows\"/></metadata>",
            ]
        );
    }
}
