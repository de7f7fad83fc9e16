//! Devices, one file each.

pub(super) mod balloon;
pub(super) mod cdrom;
pub(super) mod channel;
pub(super) mod disk;
pub(super) mod graphics;
pub(super) mod interface;
pub(super) mod pci;
pub(super) mod rng;
pub(super) mod scsi;
pub(super) mod serial;
pub(super) mod tablet;
pub(super) mod usb;
pub(super) mod video;

use super::element::Element;

/// The devices of a domain, as they are put together.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    elements: Vec<Element>,
    slots: usize,
}

impl Devices {
    /// Adds one that sits on another device, or on the board.
    fn add(&mut self, element: Element) {
        self.elements.push(element);
    }

    /// Adds one that sits in a PCI slot.
    fn add_in_slot(&mut self, element: Element) {
        self.slots += 1;
        self.add(element);
    }

    /// How many PCI slots are taken.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn element(self) -> Element {
        self.elements.into_iter().fold(Element::new("devices"), Element::child)
    }
}
