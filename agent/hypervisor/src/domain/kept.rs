//! What was found out about O_DIRECT at a file, as our mark keeps it: so that it can be shown as long as the mode is in force
//! that it led to, whatever becomes of the agent.

use std::str::FromStr;

use roxmltree::Node;
use rustix::io::Errno;

use super::element::Element;
use crate::cache::Layer;
use crate::cache::evidence::{Alignment, By, Evidence, Tried};

/// `element`, with all that a layer is made of. What it comes to follows from the evidence and is not kept.
pub(super) fn element(element: Element, layer: &Layer) -> Element {
    let Layer { path, folder, evidence, answer: _ } = layer;
    let Evidence { mount, file_system, device, statx, open, by, sector, page } = evidence;
    let element = element
        .with("path", path.display())
        .with("folder", folder.display())
        .with("mount", mount.display())
        .with("type", file_system)
        .with("device", device)
        .with("by", spell_by(*by))
        .with("open", spell(*open))
        .with("sector", spell(*sector))
        .with("page", spell(*page));
    match statx {
        None => element,
        Some(Alignment { memory_bytes, offset_bytes }) => {
            element.with("memory", memory_bytes).with("offset", offset_bytes)
        }
    }
}

/// What an element tells. None: another agent wrote it, or somebody changed it.
pub(super) fn layer(node: Node<'_, '_>) -> Option<Layer> {
    let text = |name: &str| node.attribute(name);
    let statx = number(node, "memory").zip(number(node, "offset"));
    let evidence = Evidence {
        mount: text("mount")?.into(),
        file_system: text("type")?.to_owned(),
        device: text("device")?.to_owned(),
        statx: statx.map(|(memory_bytes, offset_bytes)| Alignment { memory_bytes, offset_bytes }),
        open: tried(text("open")?)?,
        by: if text("by")? == spell_by(By::Writing) { By::Writing } else { By::Reading },
        sector: tried(text("sector")?)?,
        page: tried(text("page")?)?,
    };
    let answer = evidence.answer()?;
    Some(Layer { path: text("path")?.into(), folder: text("folder")?.into(), evidence, answer })
}

fn number<T: FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    node.attribute(name)?.parse().ok()
}

fn spell_by(by: By) -> &'static str {
    match by {
        By::Writing => "writing",
        By::Reading => "reading",
    }
}

/// A word, or the number of the error.
fn spell(tried: Tried) -> String {
    match tried {
        Tried::Not => "not".to_owned(),
        Tried::Worked => "works".to_owned(),
        Tried::Failed(errno) => errno.raw_os_error().to_string(),
    }
}

fn tried(text: &str) -> Option<Tried> {
    match text {
        "not" => Some(Tried::Not),
        "works" => Some(Tried::Worked),
        // Linux has numbers up to 4095, and the type takes no other.
        number => {
            let number = number.parse().ok().filter(|number| (1..4096).contains(number))?;
            Some(Tried::Failed(Errno::from_raw_os_error(number)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_odd_does_not() {
        let told = Alignment { memory_bytes: 512, offset_bytes: 4096 };
        let failed = Tried::Failed(Errno::INVAL);
        for (statx, by, tried) in [
            (Some(told), By::Writing, [Tried::Worked, failed, Tried::Worked]),
            (None, By::Reading, [failed, Tried::Not, Tried::Not]),
        ] {
            let [open, sector, page] = tried;
            let evidence = Evidence {
                mount: "/srv/a & b".into(),
                file_system: "xfs".to_owned(),
                device: "254:0".to_owned(),
                statx,
                open,
                by,
                sector,
                page,
            };
            let answer = evidence.answer().unwrap();
            let layer = Layer { path: "/srv/a & b/x".into(), folder: "/srv/a & b".into(), evidence, answer };
            let text = element(Element::new("layer"), &layer).xml().unwrap();
            let read = |text: &str| super::layer(roxmltree::Document::parse(text).unwrap().root_element());
            assert_eq!(read(&text), Some(layer));
            for odd in ["0", "-5", "9999", "perhaps"] {
                let odd = text.replace("open=\"22\"", &format!("open=\"{odd}\""));
                let odd = odd.replace("open=\"works\"", "open=\"maybe\"");
                assert_eq!(read(&odd), None, "{odd}");
            }
        }
    }
}
