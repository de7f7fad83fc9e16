//! What the processors are like.

use super::Plan;
use super::element::Element;
use crate::spec::Accel;

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    let mode = match plan.host.accel {
        Accel::Kvm => "host-passthrough",
        // Everything that TCG can emulate; the default of QEMU is a processor of 2003.
        Accel::Tcg => "maximum",
    };
    // One socket: Windows counts sockets against its licence, and uses two at most on a desktop.
    let topology =
        Element::new("topology").with("sockets", 1).with("cores", plan.spec.vcpus).with("threads", 1);
    domain.push(Element::new("cpu").with("mode", mode).child(topology));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;
    use crate::spec::Accel;

    #[test]
    fn the_guest_sees_all_that_there_is() {
        let topology = "<topology sockets=\"1\" cores=\"2\" threads=\"1\"/></cpu>";
        let shown = |accel| part(super::add, |_, host| host.accel = accel);
        assert_eq!(shown(Accel::Kvm), format!("<cpu mode=\"host-passthrough\">{topology}"));
        assert_eq!(shown(Accel::Tcg), format!("<cpu mode=\"maximum\">{topology}"));
    }
}
