//! Name, identity, and our mark, by which our domains are told from others.

use super::Plan;
use super::described::{DiskAt, DriveAt, Mark};
use super::element::Element;
use crate::cache::Decision;
use crate::spec::{Accel, DiskId};

/// The namespace of our mark.
pub(crate) const NAMESPACE: &str = "urn:cairn:vm:1";
/// The element that is our mark.
pub(super) const MARK: &str = "vm";
/// The elements in it: what was asked of the cache mode of a disk, and of a CD-ROM drive, where the mode alone does not tell.
pub(super) const DISK: &str = "disk";
pub(super) const CDROM: &str = "cdrom";
/// And while the domain runs: what its QEMU was told of a disk since it was started, and what it is being told.
pub(super) const CHANGED: &str = "changed";
pub(super) const CHANGING: &str = "changing";
/// The prefix that stands for the namespace.
pub(crate) const PREFIX: &str = "cairn";

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    domain.push(Element::new("name").text(&plan.spec.name));
    domain.push(Element::new("uuid").text(plan.spec.uuid));
    let mark = Mark { accel: plan.spec.accel, guest: plan.spec.guest };
    domain.push(Element::new("metadata").child(prefixed(mark, &plan.disks, &plan.drives)));
}

/// Our mark, in a description.
pub(super) fn prefixed(mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Element {
    let element = Element::new("cairn:vm").with("xmlns:cairn", NAMESPACE);
    let names = ["cairn:disk", "cairn:cdrom", "cairn:changed", "cairn:changing"];
    filled(element, names, mark, disks, drives)
}

/// Our mark alone. libvirt puts it into its namespace.
pub(super) fn bare(mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Element {
    filled(Element::new(MARK), [DISK, CDROM, CHANGED, CHANGING], mark, disks, drives)
}

fn filled(
    element: Element,
    [disk, cdrom, changed, changing]: [&'static str; 4],
    mark: Mark,
    disks: &[DiskAt],
    drives: &[DriveAt],
) -> Element {
    let mut element = element.with("accel", mark.accel).with("guest", mark.guest);
    let told = |decided: &Decision, one: Element| {
        let Decision { choice, mode, why, .. } = decided;
        one.with("cache", choice).with("mode", mode).with("why", why)
    };
    for at in disks.iter().filter(|at| !at.decided.is_explicit()) {
        let DiskId(id) = at.disk.id;
        element.push(told(&at.decided, Element::new(disk).with("volume", id)));
    }
    for at in disks {
        let DiskId(id) = at.disk.id;
        for (name, decided) in [(changed, &at.since.done), (changing, &at.since.asked)] {
            let one = || Element::new(name).with("volume", id).with("over", at.decided.mode);
            decided.iter().for_each(|decided| element.push(told(decided, one())));
        }
    }
    for at in drives.iter().filter(|at| !at.decided.is_explicit()) {
        element.push(told(&at.decided, Element::new(cdrom).with("drive", at.drive)));
    }
    element
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
