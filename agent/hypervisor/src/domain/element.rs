//! An XML element as it is put together, and its text.

use std::fmt::Display;

use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;

use crate::error::Error;

/// An element with attributes and either text or other elements in it.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Element>,
}

impl Element {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), text: None, children: Vec::new() }
    }

    /// With one more attribute.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With text in it.
    pub(crate) fn text(mut self, text: impl Display) -> Self {
        self.text = Some(text.to_string());
        self
    }

    /// With one more element in it.
    pub(crate) fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Puts one more element in it.
    pub(crate) fn push(&mut self, child: Self) {
        self.children.push(child);
    }

    /// Its text, indented, with a line break at the end.
    pub(crate) fn xml(&self) -> Result<String, Error> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        let written = self.write(&mut writer).map_err(|error| error.to_string());
        let text = written.and_then(|()| String::from_utf8(writer.into_inner()).map_err(|e| e.to_string()));
        text.map(|text| text + "\n").map_err(|cause| Error::Failed {
            what: format!("write the element `{}`", self.name),
            cause,
            remedy: "free some memory".to_owned(),
        })
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, value.as_str()));
        }
        if self.text.is_none() && self.children.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if let Some(text) = &self.text {
            writer.write_event(Event::Text(BytesText::new(text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let element = Element::new("a").with("b", "<&'\">").child(Element::new("c").text("<&'\">"));
        let xml = element.child(Element::new("d")).xml().unwrap();
        let shown = "<a b=\"&lt;&amp;&apos;&quot;&gt;\">\n  <c>&lt;&amp;&apos;&quot;&gt;</c>\n  <d/>\n</a>\n";
        assert_eq!(xml, shown);
    }
}
