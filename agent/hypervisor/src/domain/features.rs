//! What the board can: turning itself off at a button, and what Windows wants of a hypervisor.

use super::Plan;
use super::element::Element;
use crate::spec::{Accel, Guest};

/// What KVM offers of Hyper-V on every kernel since 4.10; Windows polls and waits far less with it.
const HYPERV: &[&str] = &["relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer"];

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    // Without ACPI there is no power button.
    let mut features = Element::new("features").child(Element::new("acpi")).child(Element::new("apic"));
    match (plan.spec.guest, plan.host.accel) {
        (Guest::Windows, Accel::Kvm) => features.push(hyperv()),
        // TCG has nothing of Hyper-V.
        (Guest::Windows, Accel::Tcg) | (Guest::Linux, Accel::Kvm | Accel::Tcg) => {}
    }
    domain.push(features);
}

fn hyperv() -> Element {
    let mut hyperv = Element::new("hyperv").with("mode", "custom");
    for name in HYPERV {
        let feature = Element::new(name).with("state", "on");
        hyperv.push(match *name {
            // How often a lock is tried before the hypervisor is told: Microsoft's and virt-manager's figure.
            "spinlocks" => feature.with("retries", 8191),
            _ => feature,
        });
    }
    hyperv
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;
    use crate::spec::{Accel, Guest};

    const PLAIN: &str = "<features><acpi/><apic/></features>";

    #[test]
    fn there_is_a_power_button() {
        assert_eq!(part(super::add, |_, _| {}), PLAIN);
    }

    #[test]
    fn windows_sees_hyper_v_where_kvm_is() {
        let shown = |accel| part(super::add, |spec, host| (spec.guest, host.accel) = (Guest::Windows, accel));
        assert!(shown(Accel::Kvm).contains("<hyperv mode=\"custom\"><relaxed state=\"on\"/>"));
        assert!(shown(Accel::Kvm).contains("<spinlocks state=\"on\" retries=\"8191\"/>"));
        assert_eq!(shown(Accel::Tcg), PLAIN);
    }
}
