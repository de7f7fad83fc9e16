//! PCI slots. On q35 a slot is a port of its own, and none can be added while the domain runs: there are some to spare, so
//! that disks can be attached. On i440fx a bus has 31 slots, and libvirt adds a bus when they are taken.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;
use crate::spec::Machine;

/// How many devices can be attached to a running domain.
const SPARE: usize = 8;

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    let pci = |index: usize, model| {
        Element::new("controller").with("type", "pci").with("index", index).with("model", model)
    };
    match plan.spec.machine {
        Machine::I440fx => devices.add(pci(0, "pci-root")),
        Machine::Q35 => {
            devices.add(pci(0, "pcie-root"));
            for index in 1..=devices.slots() + SPARE {
                devices.add(pci(index, "pcie-root-port"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    fn ports(machine: Machine) -> usize {
        let two_and_slots = |plan: &Plan<'_>, devices: &mut Devices| {
            devices.add_in_slot(Element::new("rng"));
            devices.add_in_slot(Element::new("rng"));
            add(plan, devices);
        };
        let (shown, _) = sample::device(two_and_slots, |spec, _| spec.machine = machine);
        shown.lines().filter(|line| line.ends_with("model=\"pcie-root-port\"/>")).count()
    }

    #[test]
    fn there_are_ports_to_spare() {
        assert_eq!(ports(Machine::Q35), 2 + SPARE);
        assert_eq!(ports(Machine::I440fx), 0);
    }
}
