//! The files that any domain's description names for its disks, whoever wrote it: for those who are about to touch one.

use std::path::PathBuf;

use roxmltree::{Document, Node};

use super::node::{attribute, child, children};
use crate::error::Error;
use crate::spec::Format;

/// A file that a domain has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    /// None: libvirt tells it as something else than we make, or what lies under another file.
    pub(crate) format: Option<Format>,
}

/// Files and block devices of all disks, CD-ROMs and floppies, with those that libvirt says they lie on.
///
/// # Errors
/// [`Error::Failed`] if it is no XML.
pub(crate) fn files(xml: &str) -> Result<Vec<Named>, Error> {
    let document = Document::parse(xml).map_err(|error| Error::Failed {
        what: "read libvirt's description of a domain".to_owned(),
        cause: error.to_string(),
        remedy: "look at it with `virsh dumpxml`".to_owned(),
    })?;
    let Some(devices) = child(document.root_element(), "devices") else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for disk in children(devices, "disk") {
        let format = child(disk, "driver").and_then(|driver| attribute(driver, "type")?.parse().ok());
        for source in disk.descendants().filter(|node| node.has_tag_name("source")) {
            let format = format.filter(|_| source.parent() == Some(disk));
            found.extend(path(source).map(|path| Named { path, format }));
        }
    }
    Ok(found)
}

fn path(source: Node<'_, '_>) -> Option<PathBuf> {
    attribute(source, "file").or_else(|| attribute(source, "dev")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let xml = "<domain><devices>\
            <disk device='disk'><driver type='qcow2'/><source file='/top'/>\
            <backingStore type='file'><format type='raw'/><source file='/base'/></backingStore></disk>\
            <disk device='floppy'><source file='/floppy'/></disk>\
            <disk type='network'><source protocol='rbd' name='pool/x'/></disk>\
            <disk type='block'><driver type='raw'/><source dev='/dev/sdx'/></disk>\
            <filesystem><source dir='/shared'/></filesystem></devices></domain>";
        let named = |path: &str, format| Named { path: path.into(), format };
        let expected = [
            named("/top", Some(Format::Qcow2)),
            named("/base", None),
            named("/floppy", None),
            named("/dev/sdx", Some(Format::Raw)),
        ];
        assert_eq!(files(xml).unwrap(), expected);
        assert_eq!(files("<domain/>").unwrap(), []);
        assert!(files("no XML").is_err());
    }
}
