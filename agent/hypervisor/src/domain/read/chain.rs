//! The images of a disk of a running domain, as libvirt numbers them: the numbers are in the names of QEMU's nodes.

use std::path::PathBuf;

use roxmltree::{Document, Node};

use super::node::{attribute, child, children};
use crate::domain::described::DiskAt;

/// A disk's images and what libvirt told QEMU of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The disk's own image, and those under it.
    pub images: Vec<Image>,
    /// The word for discards, if one is said.
    pub discard: Option<String>,
    /// The word for how QEMU waits, if one is said.
    pub aio: Option<String>,
    /// Whether the guest may only read it.
    pub readonly: bool,
    /// Something that QEMU was told beyond this, and that [`Chain`] has no word for.
    pub odd: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// libvirt's number.
    pub index: u32,
    /// The file.
    pub path: PathBuf,
    /// What is in it, in libvirt's word.
    pub format: String,
}

/// What else may stand in `driver`: it is about the guest's device and not about the images.
const OF_THE_DEVICE: &[&str] = &[
    "name",
    "type",
    "cache",
    "io",
    "discard",
    "error_policy",
    "rerror_policy",
    "iothread",
    "queues",
    "queue_size",
    "ioeventfd",
    "event_idx",
    "iommu",
    "ats",
    "packed",
    "page_per_vq",
];

/// The images of a disk. None: libvirt has not numbered them, or they are no files.
pub(crate) fn chain(xml: &str, disk: &DiskAt) -> Option<Chain> {
    let document = Document::parse(xml).ok()?;
    let devices = child(document.root_element(), "devices")?;
    let target = |node: Node<'_, '_>| attribute(child(node, "target")?, "dev").map(str::to_owned);
    let mut disks = children(devices, "disk");
    let node = disks.find(|node| target(*node).as_deref() == Some(&disk.target))?;
    let driver = child(node, "driver")?;
    let word = |name| attribute(driver, name).map(str::to_owned);
    let mut images = vec![image(node, child(node, "source")?, attribute(driver, "type")?)?];
    let mut odd = odd(driver, node);
    let mut under = child(node, "backingStore");
    while let Some(store) = under.filter(|store| attribute(*store, "type").is_some()) {
        let format = child(store, "format").and_then(|format| attribute(format, "type"))?;
        images.push(image(store, store, format)?);
        odd = odd.or_else(|| source_odd(store));
        under = child(store, "backingStore");
    }
    let readonly = disk.readonly;
    Some(Chain { images, discard: word("discard"), aio: word("io"), readonly, odd })
}

fn image(node: Node<'_, '_>, numbered: Node<'_, '_>, format: &str) -> Option<Image> {
    let path = attribute(child(node, "source")?, "file")?;
    let index = attribute(numbered, "index")?.parse().ok()?;
    Some(Image { index, path: path.into(), format: format.to_owned() })
}

fn odd(driver: Node<'_, '_>, disk: Node<'_, '_>) -> Option<String> {
    let attributes = driver.attributes().map(|attribute| attribute.name());
    let strange = attributes.into_iter().find(|name| !OF_THE_DEVICE.contains(name)).map(str::to_owned);
    let inner = || driver.children().find(Node::is_element).map(|node| node.tag_name().name().to_owned());
    let encrypted = || child(disk, "encryption").map(|_| "encryption".to_owned());
    strange.or_else(inner).or_else(encrypted).or_else(|| source_odd(disk))
}

fn source_odd(node: Node<'_, '_>) -> Option<String> {
    let source = child(node, "source")?;
    let inner = source.children().filter(Node::is_element).map(|node| node.tag_name().name().to_owned());
    let attributes = source.attributes().map(|attribute| attribute.name().to_owned());
    let known = ["seclabel", "file", "index", "startupPolicy"];
    inner.chain(attributes).find(|name| !known.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::read;

    fn xml(driver: &str, source: &str) -> String {
        format!(
            "<domain type='kvm'><name>n</name><uuid>00000000-0000-0000-0000-0000000000d0</uuid><memory>1</memory><vcpu>1</vcpu>\
             <os><type>hvm</type></os><devices>\
             <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>\
             <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' {driver}/>\
             <source file='/top' index='3'>{source}</source>\
             <backingStore type='file' index='4'><format type='raw'/><source file='/base'/><backingStore/></backingStore>\
             <target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
    }

    fn of(xml: &str) -> Option<Chain> {
        chain(xml, &read(xml).unwrap().disks[0])
    }

    #[test]
    fn images_bear_libvirts_numbers() {
        let found = of(&xml("discard='unmap' iothread='1'", "<seclabel model='dac'/>")).unwrap();
        let image =
            |index, path: &str, format: &str| Image { index, path: path.into(), format: format.into() };
        assert_eq!(found.images, [image(3, "/top", "qcow2"), image(4, "/base", "raw")]);
        assert_eq!((found.discard.as_deref(), found.aio, found.odd), (Some("unmap"), None, None));
        assert_eq!(of(&xml("io='native'", "")).unwrap().aio.as_deref(), Some("native"));
        assert_eq!(of(&xml("", "").replace("index='4'", "")), None);
    }

    #[test]
    fn what_has_no_word_here_is_named() {
        for (driver, source, odd) in [
            ("detect_zeroes='on'", "", "detect_zeroes"),
            ("", "<encryption format='luks'/>", "encryption"),
            ("", "<slices/>", "slices"),
        ] {
            assert_eq!(of(&xml(driver, source)).unwrap().odd.as_deref(), Some(odd));
        }
        let inner = xml("", "").replace("cache='none' />", "><metadata_cache/></driver>");
        assert_eq!(of(&inner).unwrap().odd.as_deref(), Some("metadata_cache"));
    }
}
