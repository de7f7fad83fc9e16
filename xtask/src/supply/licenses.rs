//! The licence texts of everything that is linked, as one text: what it is, where it is in, and each text once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::inventory::{Crate, Inventory};

/// A crate of several components, as they all have it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Part<'a> {
    name: &'a str,
    version: &'a str,
    license: Option<&'a str>,
    texts: &'a [(String, String)],
}

/// The whole text. `bundles` are files of others that are packed as they are: path, and licence if it was stated.
pub fn third_party(
    product: &str,
    inventories: &BTreeMap<String, Inventory>,
    bundles: &[(String, Option<String>)],
) -> String {
    let mut parts: BTreeMap<Part<'_>, BTreeSet<&str>> = BTreeMap::new();
    let mut texts: BTreeMap<&str, (&str, BTreeSet<String>)> = BTreeMap::new();
    for (component, inventory) in inventories {
        for Crate { name, version, license, texts: files, .. } in inventory.crates.values() {
            let part = Part { name, version, license: license.as_deref(), texts: files };
            parts.entry(part).or_default().insert(component);
            for (file, digest) in files {
                let text = inventory.texts.get(digest).map_or("", String::as_str);
                let (_, of) = texts.entry(digest).or_insert((text, BTreeSet::new()));
                of.insert(format!("{name} {version} ({file})"));
            }
        }
    }
    // By what they belong to, so that a text keeps its neighbours when another one is added.
    let mut order: Vec<(&BTreeSet<String>, &str, &str)> =
        texts.iter().map(|(digest, (text, of))| (of, *digest, *text)).collect();
    order.sort();
    let numbers: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(index, (_, digest, _))| (*digest, index + 1)).collect();

    let mut out =
        format!("What is linked into the programs of {product} or packed with them, and its licenses.\n");
    for (part, components) in &parts {
        let components: Vec<&str> = components.iter().copied().collect();
        let license = part.license.unwrap_or("no license is stated");
        let _ = write!(
            out,
            "\n{} {}\n    {license}\n    in {}\n",
            part.name,
            part.version,
            components.join(", ")
        );
        let named = |(file, digest): &(String, String)| format!("text {} ({file})", numbers[digest.as_str()]);
        let named: Vec<String> = part.texts.iter().map(named).collect();
        let _ = match named.is_empty() {
            true => writeln!(out, "    no license text came with it"),
            false => writeln!(out, "    {}", named.join(", ")),
        };
    }
    for (path, license) in bundles {
        let license = license.as_deref().unwrap_or("no license is stated");
        let _ = write!(out, "\n{path}\n    {license}\n    packed as it is; no license text came with it\n");
    }
    for (index, (of, _, text)) in order.iter().enumerate() {
        let rule = "-".repeat(80);
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        let _ = write!(out, "\n{rule}\nText {}, of {}\n{rule}\n\n{text}\n", index + 1, of.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex_of;
    use crate::supply::inventory::From;

    fn inventory(crates: &[(&str, &[&str])]) -> Inventory {
        let mut inventory = Inventory::default();
        for (name, texts) in crates {
            let own = Crate {
                name: (*name).to_owned(),
                version: "1.0.0".into(),
                from: From::Registry,
                sha256: None,
                license: Some("MIT".into()),
                texts: texts.iter().map(|text| ("LICENSE".to_owned(), hex_of(text))).collect(),
                dependencies: BTreeSet::new(),
            };
            inventory.crates.insert(format!("{name}@1.0.0"), own);
            inventory.texts.extend(texts.iter().map(|text| (hex_of(text), (*text).to_owned())));
        }
        inventory
    }

    #[test]
    fn a_text_is_there_once_and_what_has_none_says_so() {
        let inventories = BTreeMap::from([
            ("agent".to_owned(), inventory(&[("one", &["shared"]), ("two", &["own"])])),
            ("server".to_owned(), inventory(&[("one", &["shared"]), ("bare", &[]), ("three", &["shared"])])),
        ]);
        let bundles = [("lib/x.bin".to_owned(), None)];
        let rule = "-".repeat(80);
        let expected = format!(
            "\
What is linked into the programs of p or packed with them, and its licenses.

bare 1.0.0
    MIT
    in server
    no license text came with it

one 1.0.0
    MIT
    in agent, server
    text 1 (LICENSE)

three 1.0.0
    MIT
    in server
    text 1 (LICENSE)

two 1.0.0
    MIT
    in agent
    text 2 (LICENSE)

lib/x.bin
    no license is stated
    packed as it is; no license text came with it

{rule}
Text 1, of one 1.0.0 (LICENSE), three 1.0.0 (LICENSE)
{rule}

shared

{rule}
Text 2, of two 1.0.0 (LICENSE)
{rule}

own
"
        );
        assert_eq!(third_party("p", &inventories, &bundles), expected);
    }
}
