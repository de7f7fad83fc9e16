//! What is asked of an XML element. Elements with a namespace are nobody's we know.

use std::str::FromStr;

use roxmltree::Node;

pub(super) fn children<'a, 'input>(
    parent: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    let wanted = move |node: &Node<'_, '_>| {
        node.is_element() && node.tag_name().namespace().is_none() && node.tag_name().name() == name
    };
    parent.children().filter(wanted)
}

pub(super) fn child<'a, 'input>(parent: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    children(parent, name).next()
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attribute(name)
}

/// An attribute that is one of our words.
pub(super) fn word<T: FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    attribute(node, name).and_then(|word| word.parse().ok())
}
