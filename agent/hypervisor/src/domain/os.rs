//! Main board, firmware, and what is booted from.

use super::Plan;
use super::element::Element;
use crate::spec::{Firmware, Machine};

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    // libvirt puts the newest version of the board in its place, and keeps it.
    let machine = match plan.spec.machine {
        Machine::Q35 => "q35",
        Machine::I440fx => "pc",
    };
    let mut os = match plan.spec.firmware {
        Firmware::Bios => Element::new("os"),
        // libvirt finds an image of it on the host, and makes the file for its variables.
        Firmware::Uefi => Element::new("os").with("firmware", "efi"),
    };
    os.push(Element::new("type").with("arch", "x86_64").with("machine", machine).text("hvm"));
    match plan.spec.firmware {
        Firmware::Bios => {}
        Firmware::Uefi => {
            let secure_boot = Element::new("feature").with("enabled", "no").with("name", "secure-boot");
            os.push(Element::new("firmware").child(secure_boot));
        }
    }
    for device in &plan.spec.boot {
        os.push(Element::new("boot").with("dev", device));
    }
    domain.push(os);
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;
    use crate::spec::{BootDevice, Firmware, Machine};

    #[test]
    fn what_is_booted_from_stands_in_order() {
        let shown = part(super::add, |spec, _| spec.boot = vec![BootDevice::Network, BootDevice::Hd]);
        let board = "<os><type arch=\"x86_64\" machine=\"q35\">hvm</type>";
        assert_eq!(shown, format!("{board}<boot dev=\"network\"/><boot dev=\"hd\"/></os>"));
    }

    #[test]
    fn uefi_comes_without_secure_boot() {
        let shown = part(super::add, |spec, _| {
            (spec.firmware, spec.machine) = (Firmware::Uefi, Machine::I440fx);
        });
        let board = "<os firmware=\"efi\"><type arch=\"x86_64\" machine=\"pc\">hvm</type>";
        let firmware = "<firmware><feature enabled=\"no\" name=\"secure-boot\"/></firmware>";
        assert_eq!(shown, format!("{board}{firmware}<boot dev=\"hd\"/></os>"));
    }
}
