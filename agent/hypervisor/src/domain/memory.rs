//! Memory and processors by number.

use super::Plan;
use super::element::Element;

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    domain.push(Element::new("memory").with("unit", "KiB").text(plan.spec.memory_bytes / 1024));
    domain.push(Element::new("vcpu").with("placement", "static").text(plan.spec.vcpus));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;

    #[test]
    fn memory_is_told_in_kib() {
        let shown = part(super::add, |spec, _| spec.vcpus = 3);
        assert_eq!(shown, "<memory unit=\"KiB\">524288</memory>\n<vcpu placement=\"static\">3</vcpu>");
    }
}
