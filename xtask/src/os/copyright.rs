//! Licences of a package, from its own copyright file, in the words that stand there.
//!
//! Debian's machine-readable form is that of <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>: paragraphs
//! of fields, the licence's short name in the first line of `License`. Other files are prose, which says nothing to a program.

use std::collections::BTreeSet;

/// The short names of all licences in a copyright file, sorted. Empty where it is prose.
pub fn licenses(text: &str) -> Vec<String> {
    let is_readable =
        text.lines().find(|line| !line.trim().is_empty()).and_then(|line| line.split_once(':')).is_some_and(
            |(field, value)| {
                ["Format", "Format-Specification"].contains(&field)
                    && ["copyright-format", "dep5", "dep-5", "DEP5"].iter().any(|word| value.contains(word))
            },
        );
    if !is_readable {
        return Vec::new();
    }
    let values = text.lines().filter_map(|line| line.strip_prefix("License:"));
    let names = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    let names: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_all_paragraphs_and_prose_has_none() {
        let text = "\nFormat: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                    Files: *\nCopyright: A\nLicense: GPL-2+ or\tArtistic\n This is\n License: of the text\n\n\
                    Files: b\nLicense: Expat\n\nLicense: Expat\n Text\n\nLicense:\n Nameless\n";
        assert_eq!(licenses(text), ["Expat", "GPL-2+ or Artistic"]);
        for prose in ["This package was made.\nLicense: GPL\n", "Format: something\nLicense: GPL\n", ""] {
            assert!(licenses(prose).is_empty(), "{prose}");
        }
    }
}
