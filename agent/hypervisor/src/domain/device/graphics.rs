//! The screen by VNC, on a unix socket: a port would be open to everyone on the host. libvirt chooses the path when the
//! domain starts.

use super::Devices;
use crate::domain::Plan;
use crate::domain::element::Element;

pub(in crate::domain) fn add(_: &Plan<'_>, devices: &mut Devices) {
    let listen = Element::new("listen").with("type", "socket");
    devices.add(Element::new("graphics").with("type", "vnc").child(listen));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::device;

    #[test]
    fn it_is_on_a_socket() {
        let (shown, slots) = device(super::add, |_, _| {});
        let expected = "<graphics type=\"vnc\"><listen type=\"socket\"/></graphics>";
        assert_eq!((shown.as_str(), slots), (expected, 0));
    }
}
