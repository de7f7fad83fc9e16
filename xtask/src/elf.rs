//! What the toolchain reads from a program's file, without running it: its stamp, what it asks of the C library and of other
//! libraries, and whether it lists its crates.

use std::path::Path;

use anyhow::{Context as _, Result};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, SHT_DYNSYM};
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _};

use crate::failure::Failure;
use crate::plan::Stamp;

/// The section that `packaging-stamp` puts a stamp into.
const STAMP_SECTION: &[u8] = b".cairn.stamp";

/// The section that cargo-auditable puts the list of crates into.
const CRATES_SECTION: &[u8] = b".dep-v0";

/// The libraries that a glibc consists of, whatever its version.
const OF_GLIBC: [&str; 8] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];

/// The stamp in a program's file.
///
/// # Errors
/// If the file is no ELF file, or has no stamp.
pub fn stamp(file: &Path) -> Result<Stamp> {
    let data = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let none = || {
        Failure::damaged(format!(
            "`{}` has no stamp; write stamp = false in its recipe if it is built without one",
            file.display()
        ))
    };
    let (endian, sections) = sections(&data).with_context(|| format!("in `{}`", file.display()))?;
    let (_, section) = sections.section_by_name(endian, STAMP_SECTION).ok_or_else(none)?;
    let text = String::from_utf8_lossy(section.data(endian, &data[..])?).into_owned();
    let value = |key: &str| {
        let lines = text.trim_end_matches('\0').lines();
        lines
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.to_owned())
    };
    Ok(Stamp {
        reference: value("ref").ok_or_else(none)?,
        commit: value("commit").ok_or_else(none)?,
        dirty: value("dirty").as_deref() == Some("true"),
    })
}

/// The newest version of the C library that a program asks for, such as `2.34`. `None` if it asks for none.
///
/// # Errors
/// If the file is no ELF file.
pub fn glibc(file: &Path) -> Result<Option<String>> {
    let data = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let (endian, sections) = sections(&data).with_context(|| format!("in `{}`", file.display()))?;
    let mut newest: Option<(u32, u32)> = None;
    let Some((mut needs, link)) = sections.gnu_verneed(endian, &data[..])? else { return Ok(None) };
    let strings = sections.strings(endian, &data[..], link)?;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
            newest = newest.max(name.strip_prefix("GLIBC_").and_then(numbers));
        }
    }
    Ok(newest.map(|(major, minor)| format!("{major}.{minor}")))
}

/// What a program asks of a host beyond what a glibc of version `floor` has: symbol versions, each with a symbol that has it, and
/// other libraries.
///
/// # Errors
/// If the file is no ELF file.
pub fn beyond(file: &Path, floor: &str) -> Result<Vec<String>> {
    let data = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let what = || format!("in `{}`", file.display());
    let (endian, sections) = sections(&data).with_context(what)?;
    let mut beyond = Vec::new();
    let dynamic = sections.dynamic_table(endian, &data[..]).with_context(what)?;
    for entry in dynamic.iter().filter(|entry| entry.tag == DT_NEEDED) {
        let library = String::from_utf8_lossy(dynamic.string(entry).with_context(what)?);
        if !OF_GLIBC.contains(&&*library) {
            beyond.push(format!("the library `{library}`"));
        }
    }
    let Some(versions) = sections.versions(endian, &data[..]).with_context(what)? else { return Ok(beyond) };
    let mut seen = Vec::new();
    let symbols = sections.symbols(endian, &data[..], SHT_DYNSYM).with_context(what)?;
    for (index, symbol) in symbols.enumerate() {
        let version = versions.version_index(endian, index).index();
        let Some(version) = versions.version(version).with_context(what)? else { continue };
        let version = String::from_utf8_lossy(version.name()).into_owned();
        if is_beyond(&version, floor) && !seen.contains(&version) {
            let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings()).with_context(what)?);
            beyond.push(format!("`{version}` for `{name}`"));
            seen.push(version);
        }
    }
    // One that no symbol has is asked for all the same: some stand for what the loader has to understand.
    let Some((mut needs, link)) = sections.gnu_verneed(endian, &data[..])? else { return Ok(beyond) };
    let strings = sections.strings(endian, &data[..], link)?;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let version = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
            if is_beyond(&version, floor) && !seen.contains(&version) {
                beyond.push(format!("`{version}`"));
            }
        }
    }
    Ok(beyond)
}

/// Whether glibc has this symbol version only after `floor`, or for itself alone. Other libraries have other names.
fn is_beyond(version: &str, floor: &str) -> bool {
    version
        .strip_prefix("GLIBC_")
        .is_some_and(|number| numbers(number).is_none_or(|n| Some(n) > numbers(floor)))
}

/// Whether a program lists the crates that it is made of.
///
/// # Errors
/// If the file is no ELF file.
pub fn lists_crates(file: &Path) -> Result<bool> {
    let data = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let (endian, sections) = sections(&data).with_context(|| format!("in `{}`", file.display()))?;
    Ok(sections.section_by_name(endian, CRATES_SECTION).is_some())
}

/// Whether a program asks for a loader, and so for libraries of the host.
///
/// # Errors
/// If the file is no ELF file.
pub fn is_static(file: &Path) -> Result<bool> {
    let data = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let (endian, sections) = sections(&data).with_context(|| format!("in `{}`", file.display()))?;
    Ok(sections.section_by_name(endian, b".interp").is_none())
}

/// The later of two versions such as [`glibc`] gives.
pub fn later(a: Option<String>, b: Option<String>) -> Option<String> {
    let key = |version: &Option<String>| version.as_deref().and_then(numbers);
    if key(&a) >= key(&b) { a } else { b }
}

fn sections(data: &[u8]) -> Result<(Endianness, SectionTable<'_, FileHeader64<Endianness>>)> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    Ok((endian, header.sections(endian, data)?))
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_asks_for_a_c_library_and_has_no_stamp() {
        let own = std::env::current_exe().unwrap();
        let glibc = glibc(&own).unwrap().unwrap();
        assert!(numbers(&glibc).unwrap() >= (2, 2), "{glibc}");
        assert!(!is_static(&own).unwrap() && !lists_crates(&own).unwrap());
        assert!(stamp(&own).unwrap_err().to_string().contains("has no stamp"));
    }

    /// This test's own file with other texts of the same length.
    fn altered(change: impl Fn(&str) -> Option<String>) -> tempfile::NamedTempFile {
        let mut data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (endian, sections) = sections(&data).unwrap();
        let strings = sections.iter().find(|s| sections.section_name(endian, s) == Ok(b".dynstr")).unwrap();
        let (start, size) = strings.file_range(endian).unwrap();
        let range = usize::try_from(start).unwrap()..usize::try_from(start + size).unwrap();
        let mut at = range.start;
        for text in String::from_utf8(data[range].to_vec()).unwrap().split('\0') {
            if let Some(other) = change(text) {
                assert!(other.len() <= text.len());
                data[at..at + other.len()].copy_from_slice(other.as_bytes());
                data[at + other.len()..at + text.len()].fill(0);
            }
            at += text.len() + 1;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), data).unwrap();
        file
    }

    /// What makes this test one that any glibc from 2.17 on runs.
    fn portable(text: &str) -> Option<String> {
        match text {
            "libgcc_s.so.1" => Some("libutil.so.1".into()),
            version if is_beyond(version, "2.17") => Some("GLIBC_2.17".into()),
            _ => None,
        }
    }

    #[test]
    fn what_is_newer_or_of_others_is_named() {
        let file = altered(portable);
        assert_eq!(beyond(file.path(), "2.17").unwrap(), Vec::<String>::new());
        assert_eq!(glibc(file.path()).unwrap().as_deref(), Some("2.17"));
        assert!(!beyond(file.path(), "2.16").unwrap().is_empty());

        let older = |wanted: &'static str| {
            altered(move |text| if text == "GLIBC_2.2.5" { Some(wanted.into()) } else { portable(text) })
        };
        let named = beyond(older("GLIBC_2.18").path(), "2.17").unwrap();
        assert!(matches!(&named[..], [one] if one.starts_with("`GLIBC_2.18` for `")), "{named:?}");
        // A word that is no number is one that only newer loaders, or glibc itself, know.
        let named = beyond(older("GLIBC_ABI_").path(), "2.17").unwrap();
        assert!(matches!(&named[..], [one] if one.starts_with("`GLIBC_ABI_")), "{named:?}");

        let other = altered(|text| if text == "libgcc_s.so.1" { None } else { portable(text) });
        assert_eq!(beyond(other.path(), "2.17").unwrap(), ["the library `libgcc_s.so.1`"]);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(later(Some("2.9".into()), Some("2.17".into())).as_deref(), Some("2.17"));
        assert_eq!(later(None, Some("2.5".into())).as_deref(), Some("2.5"));
    }
}
