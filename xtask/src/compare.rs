//! Two packed files side by side: whether they are the same, and if not, where: which part, which entry, which byte.
//!
//! Differences are told by cause. Where an entry differs, so do its digest in the table of contents, the sizes of members
//! and the place of everything behind them, and the list of parts, which holds its digest too; that is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Entry, Manifest, TRAILER_BYTES};
use serde::Serialize;
use serde_json::Value;

use crate::supply::SBOM;

/// So many bytes of each are shown.
const SHOWN_BYTES: usize = 8;

/// So many differences are listed one by one.
pub const LISTED: usize = 20;

/// The first place at which two pieces differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// Bytes before it.
    pub offset: u64,
    /// What the first has there, in hexadecimal digits; nothing where it has ended.
    pub first: String,
    /// What the second has there.
    pub second: String,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "part", rename_all = "kebab-case")]
pub enum Difference {
    /// A key of the table of contents.
    Manifest { key: String, first: String, second: String },
    /// An entry that only one of them has.
    Missing { entry: String, member: usize, section: String, only_in: &'static str },
    /// The content of an entry. `member` is the one that it starts in, counted from 0 as in the file.
    Entry { entry: String, member: usize, section: String, at: At },
    /// Bytes of a member whose entries are alike: their headers, or how they were compressed.
    Member { member: usize, section: String, at: At },
    /// Bytes of the file that nothing else explains, such as those of the script at its head.
    File { at: At },
}

/// What differs between the content of two packed files. Signatures do not count: they are about the same content.
///
/// # Errors
/// If one of the files cannot be read or is damaged.
pub fn differences(first: &Archive, second: &Archive) -> Result<Vec<Difference>> {
    first.verify_contents(&mut |_| ())?;
    second.verify_contents(&mut |_| ())?;
    if first.trailer().digest == second.trailer().digest {
        return Ok(Vec::new());
    }
    let mut found = keys(first.manifest_json(), second.manifest_json())?;
    let mut causes = contents(first, second)?;
    let is_list =
        |difference: &Difference| matches!(difference, Difference::Entry { entry, .. } if entry == SBOM);
    if !causes.iter().all(is_list) {
        causes.retain(|difference| !is_list(difference));
    }
    if causes.is_empty() {
        causes = members(first, second)?;
    }
    if !causes.is_empty() {
        found.retain(|difference| !follows_from_content(difference));
        found.extend(causes);
    }
    if found.is_empty() {
        let sizes = [first, second].map(|archive| archive.trailer().file_bytes - TRAILER_BYTES as u64);
        found.extend(bytes(first, second, [0, 0], sizes)?.map(|at| Difference::File { at }));
    }
    Ok(found)
}

/// Differences as lines, no more than [`LISTED`] of them.
pub fn listed(differences: &[Difference]) -> String {
    let mut lines: Vec<String> =
        differences.iter().take(LISTED).map(|difference| format!("  {difference}")).collect();
    if differences.len() > LISTED {
        lines.push(format!("  and {} more", differences.len() - LISTED));
    }
    lines.join("\n")
}

/// Whether a key of the table says what follows from the content of entries, which is told with them.
fn follows_from_content(difference: &Difference) -> bool {
    let Difference::Manifest { key, .. } = difference else { return false };
    let of_an_entry = |end: &str| key.starts_with("entries[") && key.ends_with(end);
    key.starts_with("members[")
        || key.starts_with("needs.")
        || key.contains("].needs.")
        || ["]", ".sha256", ".size", ".member"].iter().any(|end| of_an_entry(end))
}

/// The keys at which two tables of contents differ, and what stands there.
fn keys(first: &[u8], second: &[u8]) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).context("a manifest is no JSON");
    compare_values("", Some(&parsed(first)?), Some(&parsed(second)?), &mut found);
    Ok(found)
}

fn compare_values(key: &str, first: Option<&Value>, second: Option<&Value>, found: &mut Vec<Difference>) {
    match (first, second) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for name in names {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare_values(&below, one.get(name), two.get(name), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            let (one, two) = (by_name(one), by_name(two));
            let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for name in names {
                let (one, two) = (one.get(name).copied(), two.get(name).copied());
                compare_values(&format!("{key}[{name}]"), one, two, found);
            }
        }
        (one, two) if one != two => {
            let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), ToString::to_string);
            found.push(Difference::Manifest { key: key.to_owned(), first: text(one), second: text(two) });
        }
        _ => (),
    }
}

/// The elements of a list by what they go by: an entry by its path, a section by its name, others by their place.
fn by_name(list: &[Value]) -> BTreeMap<String, &Value> {
    let name =
        |value: &Value| ["path", "name"].iter().find_map(|key| Some(value.get(key)?.as_str()?.to_owned()));
    let named = |(index, value)| (name(value).unwrap_or_else(|| format!("{index}")), value);
    list.iter().enumerate().map(named).collect()
}

/// The entries that differ.
fn contents(first: &Archive, second: &Archive) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for entry in &first.manifest().entries {
        match second.manifest().entry(entry.path.as_str()) {
            None => found.push(missing(entry, "the first")),
            Some(other) if other.sha256 == entry.sha256 => (),
            Some(_) => {
                let at = content(first, second, entry)?;
                let (member, section) = (entry.member + 1, entry.section.clone());
                found.extend(at.map(|at| Difference::Entry {
                    entry: entry.path.to_string(),
                    member,
                    section,
                    at,
                }));
            }
        }
    }
    let only_second = |entry: &&Entry| first.manifest().entry(entry.path.as_str()).is_none();
    let only_second = second.manifest().entries.iter().filter(only_second);
    found.extend(only_second.map(|entry| missing(entry, "the second")));
    Ok(found)
}

fn missing(entry: &Entry, only_in: &'static str) -> Difference {
    Difference::Missing {
        entry: entry.path.to_string(),
        member: entry.member + 1,
        section: entry.section.clone(),
        only_in,
    }
}

/// The first place at which an entry's content differs. Entries are big: the second one lies in a file meanwhile.
fn content(first: &Archive, second: &Archive, entry: &Entry) -> Result<Option<At>> {
    let mut kept = tempfile::tempfile().context("cannot make a temporary file")?;
    second.read_entry(entry.path.as_str(), &mut kept)?;
    let mut finder = Finder { other: &kept, offset: 0, found: None };
    first.read_entry(entry.path.as_str(), &mut finder)?;
    Ok(finder.end()?)
}

/// Compares what is written to it with a file.
struct Finder<'a> {
    other: &'a File,
    offset: u64,
    found: Option<At>,
}

impl Finder<'_> {
    /// What was found, once all is written: the other may go on.
    fn end(self) -> io::Result<Option<At>> {
        let offset = self.offset;
        let rest = part(self.other, offset, SHOWN_BYTES)?;
        let longer = (!rest.is_empty()).then(|| at(offset, &[], &rest));
        Ok(self.found.or(longer))
    }
}

impl Write for Finder<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.found.is_none() {
            let other = part(self.other, self.offset, bytes.len() + SHOWN_BYTES)?;
            let same = common(bytes, &other);
            if same < bytes.len() {
                self.found = Some(at(self.offset + same as u64, &bytes[same..], &other[same..]));
            }
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The members of which the compressed bytes differ, beginning with the one of the manifest.
fn members(first: &Archive, second: &Archive) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let (one, two) = (first.manifest(), second.manifest());
    let starts = [first, second].map(|archive| archive.trailer().stub_bytes + archive.trailer().head_bytes);
    for (index, (member, other)) in one.members.iter().zip(&two.members).enumerate() {
        if member.sha256 != other.sha256 {
            let places = [starts[0] + member.offset, starts[1] + other.offset];
            let at = bytes(first, second, places, [member.size, other.size])?;
            found.extend(at.map(|at| Difference::Member {
                member: index + 1,
                section: section(one, index),
                at,
            }));
        }
    }
    Ok(found)
}

fn section(manifest: &Manifest, index: usize) -> String {
    manifest.members.get(index).map(|member| member.section.clone()).unwrap_or_default()
}

/// The first place at which two pieces of the files differ, counted from where they begin.
fn bytes(first: &Archive, second: &Archive, places: [u64; 2], sizes: [u64; 2]) -> Result<Option<At>> {
    let open = |archive: &Archive| {
        let path = archive.path();
        File::open(path).with_context(|| format!("cannot open `{}`", path.display()))
    };
    let (mut one, two) = (open(first)?, piece(&mut open(second)?, places[1], sizes[1])?);
    let mut finder = Finder { other: &two, offset: 0, found: None };
    one.seek(io::SeekFrom::Start(places[0]))?;
    io::copy(&mut one.take(sizes[0]), &mut finder)?;
    Ok(finder.end()?)
}

/// A piece of a file as a file of its own.
fn piece(file: &mut File, place: u64, size: u64) -> io::Result<File> {
    let mut piece = tempfile::tempfile()?;
    file.seek(io::SeekFrom::Start(place))?;
    io::copy(&mut file.take(size), &mut piece)?;
    Ok(piece)
}

/// No more than `count` bytes of a file.
fn part(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut read) = (vec![0; count], 0);
    while read < count {
        match file.read_at(&mut bytes[read..], offset + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

fn common(one: &[u8], two: &[u8]) -> usize {
    one.iter().zip(two).take_while(|(one, two)| one == two).count()
}

fn at(offset: u64, first: &[u8], second: &[u8]) -> At {
    let digits = |bytes: &[u8]| {
        let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
        shown.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    };
    At { offset, first: digits(first), second: digits(second) }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |digits: &str| if digits.is_empty() { "its end".to_owned() } else { digits.to_owned() };
        write!(
            f,
            "differs from byte {} (0x{:x}) on: {} in the first, {} in the second",
            self.offset,
            self.offset,
            bytes(&self.first),
            bytes(&self.second)
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest { key, first, second } => {
                write!(f, "member 0, manifest.json: `{key}` is {first} in the first, {second} in the second")
            }
            Self::Missing { entry, member, section, only_in } => {
                write!(f, "member {member} (section {section}), `{entry}`: only {only_in} has it")
            }
            Self::Entry { entry, member, section, at } => {
                write!(f, "member {member} (section {section}), `{entry}`: {at}")
            }
            Self::Member { member, section, at } => {
                let whose = if section.is_empty() { "the end" } else { section };
                write!(f, "member {member} (section {whose}), compressed: {at}")
            }
            Self::File { at } => write!(f, "the file itself: {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use packaging_archive::{Build, Content, Description, EntryPath, HELPER, Input, Mode, Toolchain};

    use super::*;

    fn lines(first: &str, second: &str) -> Vec<String> {
        let found = keys(first.as_bytes(), second.as_bytes()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_of_a_table_are_named_by_path_name_or_place() {
        let first =
            r#"{"a": {"b": 1}, "entries": [{"path": "x", "mode": "0644"}], "list": [1, 2], "same": [1]}"#;
        let second = r#"{"a": {"b": "2"}, "entries": [{"path": "w"}, {"path": "x", "mode": "0755"}], "list": [1], "same": [1]}"#;
        assert_eq!(
            lines(first, second),
            [
                "member 0, manifest.json: `a.b` is 1 in the first, \"2\" in the second",
                "member 0, manifest.json: `entries[w]` is nothing in the first, {\"path\":\"w\"} in the second",
                "member 0, manifest.json: `entries[x].mode` is \"0644\" in the first, \"0755\" in the second",
                "member 0, manifest.json: `list[1]` is 2 in the first, nothing in the second",
            ]
        );
        assert!(lines(first, first).is_empty());
    }

    #[test]
    fn what_an_entry_explains_is_left_out() {
        let of = |key: &str| {
            let (key, first, second) = (key.to_owned(), String::new(), String::new());
            follows_from_content(&Difference::Manifest { key, first, second })
        };
        for key in [
            "entries[x].sha256",
            "entries[x].size",
            "entries[x]",
            "members[3].offset",
            "needs.bytes",
            "sections[x].needs.bytes",
        ] {
            assert!(of(key), "{key}");
        }
        for key in ["entries[x].mode", "sections[x].roles[0]", "created", "components.x.size", "build.glibc"]
        {
            assert!(!of(key), "{key}");
        }
    }

    #[test]
    fn the_first_differing_byte_is_found_wherever_the_pieces_are_cut() {
        let find = |first: &[u8], second: &[u8], cut: usize| {
            let mut other = tempfile::tempfile().unwrap();
            other.write_all(second).unwrap();
            let mut finder = Finder { other: &other, offset: 0, found: None };
            first.chunks(cut).for_each(|piece| finder.write_all(piece).unwrap());
            finder.end().unwrap().map(|at| (at.offset, at.first, at.second))
        };
        for cut in 1..8 {
            assert_eq!(find(b"abcdef", b"abcdef", cut), None);
            let (offset, first, second) = find(b"abcdef", b"abcxef", cut).unwrap();
            assert!(offset == 3 && first.starts_with("64") && second.starts_with("78 65 66"), "{cut}");
            assert_eq!(find(b"abc", b"abcd", cut), Some((3, String::new(), "64".into())));
            let (offset, first, second) = find(b"abcd", b"abc", cut).unwrap();
            assert!(offset == 3 && first.starts_with("64") && second.is_empty(), "{cut}");
        }
    }

    /// A packed file with one entry besides the helper.
    fn packed(stub: &str, content: &str, mtime: u64) -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().unwrap();
        let input = |path: &str, content: &str| Input {
            path: EntryPath::new(path).unwrap(),
            section: "core".into(),
            mode: Mode::File,
            mtime,
            content: Content::Bytes(content.into()),
        };
        let inputs = vec![input(HELPER, "helper"), input("file", content)];
        let sections = [("core".to_owned(), Vec::new())];
        let cache = folder.path().join("cache");
        let compressed = packaging_archive::compress(inputs, &sections, &cache, 1, &|_| ()).unwrap();
        let description = Description {
            product: "p".into(),
            version: "1".into(),
            created: 1,
            toolchain: Toolchain { commit: "7".repeat(40), dirty: false },
            build: Build { target: "t".into(), native: true, glibc: None },
            components: BTreeMap::new(),
        };
        let file = folder.path().join("file.run");
        packaging_archive::assemble(stub, description, &compressed, None, &file).unwrap();
        (folder, Archive::open(file).unwrap())
    }

    #[test]
    fn whatever_differs_has_a_cause_that_is_named() {
        let (_one, first) = packed("#!/bin/sh\n#\nexit 1\n", "content", 1);
        let found = |stub, content, mtime| {
            let (_two, second) = packed(stub, content, mtime);
            differences(&first, &second).unwrap()
        };
        assert_eq!(found("#!/bin/sh\n#\nexit 1\n", "content", 1), []);
        let [Difference::File { at: byte }] = &found("#!/bin/sh\n#\nexit 2\n", "content", 1)[..] else {
            panic!()
        };
        assert!(byte.offset == 17 && byte.first.starts_with("31") && byte.second.starts_with("32"));
        let [Difference::Entry { entry, at: byte, .. }] = &found("#!/bin/sh\n#\nexit 1\n", "contend", 1)[..]
        else {
            panic!()
        };
        assert_eq!((entry.as_str(), byte), ("file", &at(6, b"t", b"d")));
        // Another time stands in the headers alone.
        let times = found("#!/bin/sh\n#\nexit 1\n", "content", 2);
        let [Difference::Member { member: 1, .. }, Difference::Member { member: 2, section, .. }] =
            &times[..]
        else {
            panic!("{times:?}")
        };
        assert_eq!(section, "core");
    }

    #[test]
    fn no_more_are_listed_than_people_read() {
        let one = Difference::File { at: at(0, b"a", b"b") };
        let text = listed(&vec![one; LISTED + 3]);
        assert_eq!(text.lines().count(), LISTED + 1);
        assert!(text.starts_with("  the file itself: differs from byte 0 (0x0) on: 61 in the first, 62 in"));
        assert!(text.ends_with("\n  and 3 more"));
    }
}
