//! Changes the cache modes in a description that others have written into, and nothing else of it: what an operator put there
//! stays as it stands, letter for letter.

use std::ops::Range;

use roxmltree::{Document, Node};

use super::described::Described;
use super::head;
use super::read::{Places, places};
use crate::cache::Decision;
use crate::error::Error;

/// A description with the cache modes of `after` in place of its own, and what was asked for them in our mark.
///
/// # Errors
/// [`Error::Failed`] if it is no description of a domain of ours.
pub fn rewrite(xml: &str, after: &Described) -> Result<String, Error> {
    let failed = |cause: String| Error::Failed {
        what: format!("change the description of `{}`", after.name),
        cause,
        remedy: "look at it with `virsh dumpxml --inactive`".to_owned(),
    };
    let document = Document::parse(xml).map_err(|error| failed(error.to_string()))?;
    let found = places(document.root_element()).ok_or_else(|| failed("it is not ours".to_owned()))?;
    let Some(mark) = after.mark else { return Err(failed("it is not ours".to_owned())) };
    let mut edits = Vec::new();
    let Places { mark: mark_node, disks, drives } = found;
    let kept = head::prefixed(mark, &after.disks, &after.drives).xml()?;
    edits.push((mark_node.range(), kept.trim_end().to_owned()));
    for (before, node) in disks {
        let after = after.disks.iter().find(|at| at.disk.id == before.disk.id);
        edits.extend(after.iter().flat_map(|after| changes(node, &before.decided, &after.decided)));
    }
    for (before, node) in drives {
        let after = after.drives.iter().find(|at| at.drive == before.drive);
        edits.extend(after.iter().flat_map(|after| changes(node, &before.decided, &after.decided)));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut text = String::with_capacity(xml.len());
    let mut from = 0;
    for (range, new) in edits {
        text.push_str(&xml[from..range.start]);
        text.push_str(&new);
        from = range.end;
    }
    text.push_str(&xml[from..]);
    Ok(text)
}

/// What sets the cache mode of a disk or a drive, and how QEMU waits for it. Each has at least a target in it. The sector
/// that its guest sees is never changed.
fn changes(device: Node<'_, '_>, before: &Decision, after: &Decision) -> Vec<(Range<usize>, String)> {
    let mode = (before.mode != after.mode).then(|| after.mode.to_string());
    let aio = (before.aio != after.aio).then(|| after.aio.map(|aio| aio.to_string()));
    let named = |node: &Node<'_, '_>, name: &str| node.is_element() && node.tag_name().name() == name;
    let Some(driver) = device.children().find(|node| named(node, "driver")) else {
        let first = device.first_child().map(|node| node.range().start);
        let element = mode.map(|mode| format!("<driver name='qemu' cache='{mode}'/>"));
        return first.zip(element).map(|(at, element)| (at..at, element)).into_iter().collect();
    };
    // Behind the name of a tag there is room for attributes.
    let room = driver.range().start + "<driver".len();
    let set = |name: &str, value: Option<String>| match (driver.attribute_node(name), value) {
        (Some(old), Some(value)) => Some((old.range_value(), value)),
        (Some(old), None) => Some((old.range().start - 1..old.range().end, String::new())),
        (None, Some(value)) => Some((room..room, format!(" {name}='{value}'"))),
        (None, None) => None,
    };
    let mode = mode.and_then(|mode| set("cache", Some(mode)));
    mode.into_iter().chain(aio.and_then(|aio| set("io", aio))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::read;
    use crate::spec::{Aio, CacheChoice, CacheMode};

    /// As an operator has left it.
    const XML: &str = "<domain type='kvm'>\n  <name>n</name><uuid>00000000-0000-0000-0000-0000000000d0</uuid>\n  \
        <metadata>\n    <other:app xmlns:other=\"urn:other\"/>\n    \
        <cairn:vm xmlns:cairn=\"urn:cairn:vm:1\" accel=\"auto\" guest=\"windows\"/>\n  </metadata>\n  \
        <!-- mine --><memory>2048</memory><vcpu>2</vcpu><os><type>hvm</type></os>\n  <devices>\n    \
        <disk type='file' device='disk'>\n      <driver name='qemu' type='raw' cache='none' io='threads'/>\n      \
        <source file='/a'/><target dev='vda' bus='virtio'/><serial>1</serial>\n      \
        <alias name='ua-volume-00000000-0000-0000-0000-000000000001'/>\n    </disk>\n    \
        <disk type='file'><driver type=\"qcow2\"/><source file='/b'/><target dev='vdb' bus='virtio'/>\
        <alias name='ua-volume-00000000-0000-0000-0000-000000000002'/></disk>\n    \
        <disk type='block'><source dev='/dev/sdx'/><target dev='vdc' bus='virtio'/></disk>\n    \
        <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><alias name='ua-cdrom-0'/></disk>\n  \
        </devices>\n</domain>\n";

    fn automatic(mode: CacheMode) -> Decision {
        Decision::new(CacheChoice::Auto, mode, format!("asked for `auto`: <{mode}> & \"why\""))
    }

    #[test]
    fn modes_change_and_everything_else_stays() {
        let mut after = read(XML).unwrap();
        after.disks[0].decide(Decision { aio: Some(Aio::Threads), ..automatic(CacheMode::Writeback) });
        after.disks[1].decide(Decision::explicit(CacheMode::Unsafe));
        after.drives[0].decided = Decision::explicit(CacheMode::None);
        let text = rewrite(XML, &after).unwrap();
        assert_eq!(read(&text).unwrap(), after);
        let start = text.find("<cairn:vm").unwrap();
        let end = text.find("</cairn:vm>").unwrap() + "</cairn:vm>".len();
        let mark = "<cairn:vm xmlns:cairn=\"urn:cairn:vm:1\" accel=\"auto\" guest=\"windows\"/>";
        let others = format!("{}{mark}{}", &text[..start], &text[end..]);
        let expected = XML
            .replace("cache='none'", "cache='writeback'")
            .replace("<driver type=\"qcow2\"", "<driver cache='unsafe' type=\"qcow2\"")
            .replace("device='cdrom'>", "device='cdrom'><driver name='qemu' cache='none'/>");
        assert_eq!(others, expected);
        // Once more changes nothing, and what is asked for in as many words needs no record.
        assert_eq!(rewrite(&text, &after).unwrap(), text);
        after.disks[0].decide(Decision { aio: Some(Aio::Threads), ..Decision::explicit(CacheMode::None) });
        after.drives[0].decided = automatic(CacheMode::Writeback);
        let text = rewrite(&text, &after).unwrap();
        assert_eq!(read(&text).unwrap(), after);
        assert!(text.contains("<cairn:cdrom drive=\"0\"") && !text.contains("<cairn:disk"), "{text}");
    }

    #[test]
    fn how_to_wait_changes_with_the_mode_and_sectors_never() {
        let native = XML
            .replace("io='threads'", "io='native'")
            .replace("<serial>", "<blockio logical_block_size='4096'/><serial>");
        let before = read(&native).unwrap();
        let decided = &before.disks[0].decided;
        assert_eq!((decided.aio, decided.sector_bytes), (Some(Aio::Native), Some(4096)));
        let mut after = before.clone();
        after.disks[0].decide(Decision {
            aio: Some(Aio::Threads),
            sector_bytes: Some(4096),
            ..automatic(CacheMode::Writeback)
        });
        after.disks[1].decide(Decision { aio: Some(Aio::IoUring), ..Decision::explicit(CacheMode::Unsafe) });
        let text = rewrite(&native, &after).unwrap();
        assert_eq!(read(&text).unwrap(), after);
        assert!(text.contains("<driver name='qemu' type='raw' cache='writeback' io='threads'/>"), "{text}");
        assert!(text.contains("<driver cache='unsafe' io='io_uring' type=\"qcow2\"/>"), "{text}");
        after.disks[0].decided.aio = None;
        let text = rewrite(&text, &after).unwrap();
        assert!(text.contains("<driver name='qemu' type='raw' cache='writeback'/>"), "{text}");
    }

    #[test]
    fn what_an_operator_changed_counts() {
        let mut after = read(XML).unwrap();
        after.disks[0].decide(Decision { aio: Some(Aio::Threads), ..automatic(CacheMode::None) });
        let text = rewrite(XML, &after).unwrap();
        assert_eq!(read(&text).unwrap().disks[0].disk.cache.choice, CacheChoice::Auto);
        let edited = text.replace("type='raw' cache='none'", "type='raw' cache='directsync'");
        let disk = &read(&edited).unwrap().disks[0];
        assert_eq!(
            (disk.disk.cache.choice, &disk.decided),
            (
                CacheChoice::Directsync,
                &Decision { aio: Some(Aio::Threads), ..Decision::explicit(CacheMode::Directsync) }
            )
        );
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let after = read(XML).unwrap();
        let error = rewrite(&XML.replace("urn:cairn:vm:1", "urn:else"), &after).unwrap_err();
        assert!(error.to_string().contains("it is not ours"), "{error}");
    }
}
