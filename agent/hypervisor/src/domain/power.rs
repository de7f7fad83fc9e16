//! What becomes of the domain when the guest turns it off, resets it, or crashes.

use super::Plan;
use super::element::Element;

pub(super) fn add(_: &Plan<'_>, domain: &mut Element) {
    domain.push(Element::new("on_poweroff").text("destroy"));
    domain.push(Element::new("on_reboot").text("restart"));
    domain.push(Element::new("on_crash").text("destroy"));
    // A guest that sleeps looks like one that hangs, and nobody presses a key to wake it.
    let off = |name| Element::new(name).with("enabled", "no");
    domain.push(Element::new("pm").child(off("suspend-to-mem")).child(off("suspend-to-disk")));
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;

    #[test]
    fn a_guest_that_turns_itself_off_is_off() {
        let shown = part(super::add, |_, _| {});
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "<on_poweroff>destroy</on_poweroff>",
                "<on_reboot>restart</on_reboot>",
                "<on_crash>destroy</on_crash>",
                "<pm><suspend-to-mem enabled=\"no\"/><suspend-to-disk enabled=\"no\"/></pm>",
            ]
        );
    }
}
