//! The first serial line: a terminal to look into, and a file that keeps what the guest writes. virtlogd writes the file, so
//! that it goes on when libvirtd starts again, and cuts it when it grows.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(plan: &Plan<'_>, devices: &mut Devices) {
    let log = Element::new("log").with("file", plan.host.console_log.display()).with("append", "on");
    let target = Element::new("target").with("type", "isa-serial").with("port", 0);
    devices.add(Element::new("serial").with("type", "pty").child(log).child(target));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn what_the_guest_says_is_kept() {
        let (shown, slots) = device(super::add, |_, _| {});
        assert_eq!(
            shown,
            "<serial type=\"pty\"><log file=\"/log/sample.log\" append=\"on\"/>\
            <target type=\"isa-serial\" port=\"0\"/></serial>"
        );
        assert_eq!(slots, 0);
    }
}
