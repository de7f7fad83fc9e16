//! Name, identity, and our mark, by which our domains are told from others.

use super::Plan;
use super::described::{DiskAt, DriveAt, Mark};
use super::element::Element;
use super::kept;
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
/// What one should know of a mode, and what was found at a file.
pub(super) const WARNING: &str = "warning";
pub(super) const LAYER: &str = "layer";
/// The prefix that stands for the namespace.
pub(crate) const PREFIX: &str = "cairn";

/// What the elements in our mark are called.
struct Names {
    disk: &'static str,
    cdrom: &'static str,
    changed: &'static str,
    changing: &'static str,
    warning: &'static str,
    layer: &'static str,
}

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    domain.push(Element::new("name").text(&plan.spec.name));
    domain.push(Element::new("uuid").text(plan.spec.uuid));
    let mark = Mark { accel: plan.spec.accel, guest: plan.spec.guest };
    domain.push(Element::new("metadata").child(prefixed(mark, &plan.disks, &plan.drives)));
}

/// Our mark, in a description.
pub(super) fn prefixed(mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Element {
    let element = Element::new("cairn:vm").with("xmlns:cairn", NAMESPACE);
    let names = Names {
        disk: "cairn:disk",
        cdrom: "cairn:cdrom",
        changed: "cairn:changed",
        changing: "cairn:changing",
        warning: "cairn:warning",
        layer: "cairn:layer",
    };
    filled(element, &names, mark, disks, drives)
}

/// Our mark alone. libvirt puts it into its namespace.
pub(super) fn bare(mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Element {
    let names = Names {
        disk: DISK,
        cdrom: CDROM,
        changed: CHANGED,
        changing: CHANGING,
        warning: WARNING,
        layer: LAYER,
    };
    filled(Element::new(MARK), &names, mark, disks, drives)
}

fn filled(element: Element, names: &Names, mark: Mark, disks: &[DiskAt], drives: &[DriveAt]) -> Element {
    let mut element = element.with("accel", mark.accel).with("guest", mark.guest);
    let told = |decided: &Decision, one: Element| {
        let Decision { choice, origin, mode, why, warnings, layers, weakest, aio: _, sector_bytes: _ } =
            decided;
        let mut one = one.with("cache", choice).with("mode", mode).with("why", why);
        if let Some(origin) = origin {
            one = one.with("origin", origin);
        }
        for warning in warnings {
            one.push(Element::new(names.warning).with("text", warning));
        }
        for (at, layer) in layers.iter().enumerate() {
            let element = kept::element(Element::new(names.layer), layer);
            one.push(if *weakest == Some(at) { element.with("weakest", "yes") } else { element });
        }
        one
    };
    for at in disks.iter().filter(|at| !at.decided.is_explicit()) {
        let DiskId(id) = at.disk.id;
        element.push(told(&at.decided, Element::new(names.disk).with("volume", id)));
    }
    for at in disks {
        let DiskId(id) = at.disk.id;
        for (name, decided) in [(names.changed, &at.since.done), (names.changing, &at.since.asked)] {
            let one = || Element::new(name).with("volume", id).with("over", at.decided.mode);
            decided.iter().for_each(|decided| element.push(told(decided, one())));
        }
    }
    for at in drives.iter().filter(|at| !at.decided.is_explicit()) {
        element.push(told(&at.decided, Element::new(names.cdrom).with("drive", at.drive)));
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
