//! What the toolchain reads from a program's file, without running it: its stamp and what it asks of the C library.

use std::path::Path;

use anyhow::{Context as _, Result};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable};

use crate::failure::Failure;
use crate::plan::Stamp;

/// The section that `packaging-stamp` puts a stamp into.
const STAMP_SECTION: &[u8] = b".cairn.stamp";

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
        assert!(!is_static(&own).unwrap());
        assert!(stamp(&own).unwrap_err().to_string().contains("has no stamp"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(later(Some("2.9".into()), Some("2.17".into())).as_deref(), Some("2.17"));
        assert_eq!(later(None, Some("2.5".into())).as_deref(), Some("2.5"));
    }
}
